"""SQuAD-layout files -> training batches that depend on nothing but a seed and a position.

A question is asked of its own paragraph and, for some questions in each epoch, also of the most
similar other paragraph of the same article: one where the answer does not occur, so that the model
learns to point nowhere. Sequences are framed by the base's own tokenizer, cut at random around the
answer where they are too long, and batched by token count after sorting by length within chunks.

Every random choice is drawn from (seed, epoch, index), never from a stream, so that a run can go on
from any position without replaying what came before it.

Leaves out evaluation windows (the app's own job) and questions that have no answer in the file
(SQuAD 2.0's).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

LONGEST_QUESTION = 64  # tokens; as at evaluation

# Lengths are padded to a multiple of this, the rows of a tile of the bf16 units.
TILE = 16

# Questions sorted by length together. Larger wastes less padding; smaller shuffles better.
CHUNK = 1024

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """The special tokens a base puts around a question and a passage."""

    before: Ids
    between: Ids
    after: Ids

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Frame":
        pair = tokenizer.encode("a", "a")
        special = np.array(pair.special_tokens_mask)
        text = np.flatnonzero(special == 0)
        if len(text) != 2:
            raise ValueError("The tokenizer does not frame a pair of texts as BERT's does.")
        ids = np.array(pair.ids)
        return cls(ids[: text[0]], ids[text[0] + 1 : text[1]], ids[text[1] + 1 :])

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True)
class Question:
    """A question with its answer's tokens: the first and the last, counted in its paragraph."""

    ids: Ids
    paragraph: int
    start: int
    end: int
    other: int | None  # the article's most similar paragraph without the answer, if there is one


@dataclass
class Corpus:
    """Tokenized paragraphs and questions; `skipped` counts those whose answer is not in place."""

    frame: Frame
    paragraphs: list[Ids] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    skipped: int = 0

    @classmethod
    def read(
        cls, files: Sequence[Path], tokenizer: Tokenizer, exclude: frozenset[str] = frozenset()
    ) -> "Corpus":
        """Read SQuAD v1.1 files, leaving out the articles whose titles are in `exclude`."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        corpus = cls(Frame.of(tokenizer))
        for file in files:
            for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
                if article["title"] not in exclude:
                    corpus._add(article["paragraphs"], tokenizer)
        if not corpus.questions:
            raise ValueError("There is no question with an answer in these files.")
        return corpus

    def _add(self, paragraphs: list[dict], tokenizer: Tokenizer) -> None:
        """Add the paragraphs and the questions of one article."""
        texts = [paragraph["context"] for paragraph in paragraphs]
        encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
        tokens = [np.array(paragraph.ids, dtype=np.int64) for paragraph in encoded]
        first = len(self.paragraphs)

        homes: list[int] = []
        asked: list[str] = []
        answers: list[list[str]] = []
        spans: list[tuple[int, int]] = []
        for home, paragraph in enumerate(paragraphs):
            offsets = np.array(encoded[home].offsets, dtype=np.int64).reshape(-1, 2)
            for item in paragraph["qas"]:
                span = _token_span(texts[home], offsets, item["answers"])
                if span is None:
                    self.skipped += 1
                    continue
                homes.append(home)
                asked.append(item["question"])
                answers.append([answer["text"] for answer in item["answers"]])
                spans.append(span)

        questions = [
            np.array(question.ids[:LONGEST_QUESTION], dtype=np.int64)
            for question in tokenizer.encode_batch(asked, add_special_tokens=False)
        ]
        others = most_similar_others(texts, tokens, homes, questions, answers)
        self.paragraphs += tokens
        for ids, home, (start, end), other in zip(questions, homes, spans, others, strict=True):
            shifted = None if other is None else first + other
            self.questions.append(Question(ids, first + home, start, end, shifted))


def read_titles(path: Path) -> frozenset[str]:
    """Titles, one a line."""
    return frozenset(path.read_text(encoding="utf-8").split("\n")) - {""}


def _token_span(text: str, offsets: Ids, answers: list[dict]) -> tuple[int, int] | None:
    """First and last token of the first answer; None if it is not where the file says it is."""
    if not answers:
        return None
    begin, answer = answers[0]["answer_start"], answers[0]["text"]
    stop = begin + len(answer)
    if text[begin:stop] != answer:
        return None
    start = int(np.searchsorted(offsets[:, 1], begin, side="right"))
    end = int(np.searchsorted(offsets[:, 0], stop, side="left")) - 1
    return (start, end) if start <= end else None


def most_similar_others(
    texts: Sequence[str],
    paragraphs: Sequence[Ids],
    homes: Sequence[int],
    questions: Sequence[Ids],
    answers: Sequence[Sequence[str]],
) -> list[int | None]:
    """For each question the most similar other paragraph that holds none of its answers.

    Likeness is the cosine with the question plus the cosine with its own paragraph, which `homes`
    names, over TF-IDF weights of tokens. Frequencies are counted in this article alone, where the
    subject's name tells nothing apart. Equal likeness goes to the earlier paragraph.
    """
    if not questions:
        return []
    terms = np.unique(np.concatenate(paragraphs))
    frequency = np.stack(
        [np.bincount(np.searchsorted(terms, ids), minlength=len(terms)) for ids in paragraphs]
    )
    rarity = np.log(len(paragraphs) / (frequency > 0).sum(axis=0))
    known = np.log1p(frequency) * rarity  # [paragraphs, terms]
    known /= np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-9)
    between = known @ known.T
    folded = [text.casefold() for text in texts]
    others: list[int | None] = []
    for home, ids, wanted in zip(homes, questions, answers, strict=True):
        asked, times = np.unique(ids, return_counts=True)
        columns = np.searchsorted(terms, asked).clip(max=len(terms) - 1)
        found = terms[columns] == asked
        columns, times = columns[found], times[found]
        query = np.log1p(times) * rarity[columns]
        query /= max(float(np.linalg.norm(query)), 1e-9)
        likeness = known[:, columns] @ query + between[home]
        ranked = (int(index) for index in np.argsort(-likeness, kind="stable") if index != home)
        needles = [answer.casefold() for answer in wanted]
        others.append(
            next((i for i in ranked if not any(needle in folded[i] for needle in needles)), None)
        )
    return others


@dataclass(frozen=True)
class Framed:
    """One framed sequence, the passage from `first` to `last`; start and end 0 mean no answer."""

    ids: Ids
    first: int
    last: int
    start: int
    end: int


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
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    candidates: Tensor
    start: Tensor
    end: Tensor
    pair_of: Tensor

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
        if longest < LONGEST_QUESTION + len(corpus.frame) + TILE:
            raise ValueError(f"Sequences of {longest} tokens leave no room for a passage.")
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

    def _chunk(self, epoch: int, chunk: int) -> list[list[tuple[Framed, ...]]]:
        """The batches of one chunk, as lists of one question's one or two sequences."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.corpus.questions))
        groups = [self._group(epoch, int(i)) for i in order[chunk * CHUNK : (chunk + 1) * CHUNK]]
        # Longest first, so that what is left for the last batch is short, hence many questions.
        groups.sort(key=_length, reverse=True)
        batches: list[list[tuple[Framed, ...]]] = [[]]
        rows = 0
        width = _padded(_length(groups[0]))
        for group in groups:
            if (rows + len(group)) * width > self.tokens:
                batches.append([])
                rows, width = 0, _padded(_length(group))
            batches[-1].append(group)
            rows += len(group)
        shuffled = np.random.default_rng([self.seed, epoch, chunk]).permutation(len(batches))
        return [batches[index] for index in shuffled]

    def _group(self, epoch: int, index: int) -> tuple[Framed, ...]:
        """A question's sequence with the answer and, when it is its turn, the one without."""
        question = self.corpus.questions[index]
        random = np.random.default_rng([self.seed, epoch, 0, index])
        answer = (question.start, question.end)
        group = [self._sequence(question, question.paragraph, answer, random)]
        turn = (self._turn[index] + epoch * self.unanswerable) % 1.0 < self.unanswerable
        if turn and question.other is not None:
            group.append(self._sequence(question, question.other, None, random))
        return tuple(group)

    def _sequence(
        self,
        question: Question,
        paragraph: int,
        span: tuple[int, int] | None,
        random: np.random.Generator,
    ) -> Framed:
        frame, passage = self.corpus.frame, self.corpus.paragraphs[paragraph]
        room = self.longest - len(frame) - len(question.ids)
        cut = 0
        if len(passage) > room:
            lowest, highest = 0, len(passage) - room
            if span is not None:
                # An answer longer than the room keeps its start.
                lowest, highest = max(0, span[1] + 1 - room), min(highest, span[0])
            cut = int(random.integers(min(lowest, highest), highest, endpoint=True))
            passage = passage[cut : cut + room]
        ids = np.concatenate([frame.before, question.ids, frame.between, passage, frame.after])
        first = len(frame.before) + len(question.ids) + len(frame.between)
        last = first + len(passage) - 1
        if span is None:
            return Framed(ids, first, last, 0, 0)
        return Framed(ids, first, last, first + span[0] - cut, min(first + span[1] - cut, last))

    def _collate(self, groups: list[tuple[Framed, ...]]) -> Batch:
        pairs = [row for row, group in enumerate(groups) if len(group) == 2]
        rows = [group[0] for group in groups] + [groups[row][1] for row in pairs]
        shape = (len(rows), _padded(max(len(row.ids) for row in rows)))
        input_ids = torch.full(shape, self.pad_id)
        mask, types = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        candidates = torch.zeros(shape, dtype=torch.bool)
        candidates[:, 0] = True
        for index, row in enumerate(rows):
            length = len(row.ids)
            input_ids[index, :length] = torch.from_numpy(row.ids)
            mask[index, :length] = 1
            types[index, row.first : length] = 1
            candidates[index, row.first : row.last + 1] = True
        return Batch(
            input_ids,
            mask,
            types,
            candidates,
            torch.tensor([row.start for row in rows]),
            torch.tensor([row.end for row in rows]),
            torch.tensor(pairs, dtype=torch.long),
        )


def _length(group: tuple[Framed, ...]) -> int:
    return max(len(row.ids) for row in group)


def _padded(length: int) -> int:
    return -(-length // TILE) * TILE
