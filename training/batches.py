"""A corpus -> training batches that depend on nothing but a seed and a position.

A question is asked of its own paragraph and, for some questions in each epoch, also of the most
similar other one without the answer. Sequences that are too long are cut at random around the
answer, and batched by token count after sorting by length within chunks.

Every random choice is drawn from (seed, epoch, index), never from a stream, so that a run can go on
from any position without replaying what came before it.

Leaves out evaluation windows (the app's own job).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data import Corpus, Framed

# Lengths are padded to a multiple of this, the rows of a tile of the bf16 units.
TILE = 16

# Questions sorted by length together. Larger wastes less padding; smaller shuffles better.
CHUNK = 1024


@dataclass(frozen=True)
class Row:
    """One sequence: which question, from which token of the paragraph on, and the answer's tokens
    in the sequence; 0 and 0 mean no answer."""

    framed: Framed
    question: int
    cut: int
    start: int
    end: int


class Inputs(NamedTuple):
    """What a model reads: int64 [rows, length] each."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor


class Position(NamedTuple):
    """The next batch of a run."""

    epoch: int = 0
    chunk: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Batch:
    """Sequences as tensors: first those with an answer, then those without.

    Attributes:
        input_ids, attention_mask, token_type_ids: int64 [rows, length].
        candidates: bool [rows, length], true where a span may start or end: on the passage's tokens
            and on the first position, which stands for no answer.
        start, end: int64 [rows], the answer's tokens; 0 for none.
        pair_of: int64 [rows without an answer], the row where the same question has its answer.
        questions: int64 [rows], each row's question in the corpus.
        cuts: int64 [rows], the first of its paragraph's tokens that is in the row.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    candidates: Tensor
    start: Tensor
    end: Tensor
    pair_of: Tensor
    questions: Tensor
    cuts: Tensor

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return int(self.attention_mask.sum())


class Batches:
    """The batches of a run, addressable by position.

    Args:
        corpus: What to train on.
        pad_id: The encoder's padding token.
        seed: Of every random choice.
        tokens: Most tokens in a batch, padding included.
        longest: Most tokens in a sequence; longer paragraphs are cut.
        unanswerable: Share of the questions also asked of another paragraph, others each epoch.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        pad_id: int,
        seed: int = 0,
        tokens: int = 5120,
        longest: int = 320,
        unanswerable: float = 0.25,
    ) -> None:
        corpus.frame.check(longest)
        if tokens < 2 * (longest + TILE):
            raise ValueError(f"A batch of {tokens} tokens cannot hold two of {longest}.")
        self.corpus = corpus
        self.pad_id = pad_id
        self.seed = seed
        self.tokens = tokens
        self.longest = longest
        self.unanswerable = unanswerable
        self.chunks = -(-len(corpus.questions) // CHUNK)
        self._turn = np.random.default_rng(seed).random(len(corpus.questions))

    def after(self, position: Position) -> Iterator[tuple[Batch, Position]]:
        """Batches from a position on, without end, each with the position that follows it."""
        epoch, chunk, first = position
        while True:
            groups = self._chunk(epoch, chunk)
            for index in range(first, len(groups)):
                following = Position(epoch, chunk, index + 1)
                if following.batch == len(groups):
                    following = Position(epoch, chunk + 1)
                if following.chunk == self.chunks:
                    following = Position(epoch + 1)
                yield self._collate(groups[index]), following
            epoch, chunk, first = following

    def _chunk(self, epoch: int, chunk: int) -> list[list[tuple[Row, ...]]]:
        """The batches of one chunk, as lists of one question's one or two sequences."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.corpus.questions))
        groups = [self._group(epoch, int(i)) for i in order[chunk * CHUNK : (chunk + 1) * CHUNK]]
        # Longest first, so that what is left for the last batch is short, hence many questions.
        groups.sort(key=_length, reverse=True)
        batches: list[list[tuple[Row, ...]]] = [[]]
        rows = 0
        width = padded(_length(groups[0]))
        for group in groups:
            if (rows + len(group)) * width > self.tokens:
                batches.append([])
                rows, width = 0, padded(_length(group))
            batches[-1].append(group)
            rows += len(group)
        shuffled = np.random.default_rng([self.seed, epoch, chunk]).permutation(len(batches))
        return [batches[index] for index in shuffled]

    def _group(self, epoch: int, index: int) -> tuple[Row, ...]:
        """A question's sequence with the answer and, when it is its turn, the one without."""
        question = self.corpus.questions[index]
        # Seeds that differ in zeros at their end only, as some here and above, draw the same
        # numbers, but what is done with them differs.
        random = np.random.default_rng([self.seed, epoch, 0, index])
        answer = (question.start, question.end)
        group = [self._row(index, question.paragraph, answer, random)]
        turn = (self._turn[index] + epoch * self.unanswerable) % 1.0 < self.unanswerable
        if turn and question.other is not None:
            group.append(self._row(index, question.other, None, random))
        return tuple(group)

    def _row(
        self,
        index: int,
        paragraph: int,
        span: tuple[int, int] | None,
        random: np.random.Generator,
    ) -> Row:
        question, passage = self.corpus.questions[index], self.corpus.paragraphs[paragraph].ids
        room = self.longest - len(self.corpus.frame) - len(question.ids)
        cut = 0
        if len(passage) > room:
            lowest, highest = 0, len(passage) - room
            if span is not None:
                # An answer longer than the room keeps its start.
                lowest, highest = max(0, span[1] + 1 - room), min(highest, span[0])
            cut = int(random.integers(min(lowest, highest), highest, endpoint=True))
            passage = passage[cut : cut + room]
        framed = self.corpus.frame.around(question.ids, passage)
        if span is None:
            return Row(framed, index, cut, 0, 0)
        start, end = (framed.first + token - cut for token in span)
        return Row(framed, index, cut, start, min(end, framed.last))

    def _collate(self, groups: list[tuple[Row, ...]]) -> Batch:
        pairs = [row for row, group in enumerate(groups) if len(group) == 2]
        rows = [group[0] for group in groups] + [groups[row][1] for row in pairs]
        inputs = stack([row.framed for row in rows], self.pad_id)
        candidates = torch.zeros(inputs.input_ids.shape, dtype=torch.bool)
        candidates[:, 0] = True
        for index, row in enumerate(rows):
            candidates[index, row.framed.first : row.framed.last + 1] = True
        return Batch(
            *inputs,
            candidates=candidates,
            start=torch.tensor([row.start for row in rows]),
            end=torch.tensor([row.end for row in rows]),
            pair_of=torch.tensor(pairs, dtype=torch.long),
            questions=torch.tensor([row.question for row in rows]),
            cuts=torch.tensor([row.cut for row in rows]),
        )


def stack(sequences: Sequence[Framed], pad_id: int) -> Inputs:
    """Sequences as what a model reads, padded on the right to a common length."""
    shape = (len(sequences), padded(max(len(sequence.ids) for sequence in sequences)))
    input_ids = torch.full(shape, pad_id)
    mask, types = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    for index, sequence in enumerate(sequences):
        length = len(sequence.ids)
        input_ids[index, :length] = torch.from_numpy(sequence.ids)
        mask[index, :length] = 1
        types[index, sequence.first : length] = 1
    return Inputs(input_ids, mask, types)


def padded(length: int) -> int:
    """The length to which sequences of at most this many tokens are padded."""
    return -(-length // TILE) * TILE


def _length(group: tuple[Row, ...]) -> int:
    return max(len(row.framed.ids) for row in group)
