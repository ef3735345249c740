"""Text -> tokens -> overlapping windows: what the model is given, and where each token stands in
the text.

A passage is tokenized once, whole; windows are cut from its tokens, so that tokens are the same
whatever the question. Here too is decided where an answer may begin and end: never inside a
grapheme cluster or, where words are written apart, inside a word. No model runs here and no answer
is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray
from tokenizers import Tokenizer

from qa.catalog import Frame
from qa.errors import QAError
from qa.kept import Kept

# The tokenizer works on pieces of about this many characters: several at once on several
# processors, and no more, since what it says of a token takes 300 bytes until it is an array.
PIECE_CHARACTERS = 20_000
PIECES_AT_ONCE = 8

# Of passages asked about lately, kept so that the next question need not wait for tokens: about
# 100 MB a model at most, text included.
KEPT_TOKENS = 2_000_000
CHARACTERS_A_TOKEN = 8  # in the memory they take

# Rust strings cannot hold lone surrogates; the replacement character keeps every offset and is no
# token.
_SURROGATE = regex.compile(r"[\ud800-\udfff]")
# Before white space, punctuation and ideographs BERT's tokenizer cuts anyway, so pieces that end
# there have the tokens of the whole. (To it, other control characters than these are nothing.) Only
# of a "word" longer than a piece, which is one unknown token to it, there may be several.
_WITHIN_WORD = r"[^\p{Z}\t\n\r!-/:-@\[-`{-~\u4e00-\u9fff]"
_PIECE = regex.compile(rf"(?s).{{{PIECE_CHARACTERS}}}{_WITHIN_WORD}{{0,{PIECE_CHARACTERS}}}+|.+")
# Stretches of non-ASCII characters, single ASCII ones among them. Only they are looked at for what
# follows: in most texts they are few.
_NON_ASCII = regex.compile(r"[^\x00-\x7f]+(?:[\x00-\x7f][^\x00-\x7f]+)*")
# Grapheme clusters, read from where one begins. Flags are taken in pairs: for each, \X alone would
# count all those before it.
CLUSTER = regex.compile(r"\p{RI}{2}(?![\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}])|\X")
# Scripts written without spaces: a tokenizer's "word" is a whole run of them, so an answer may
# begin or end at any token.
_UNSPACED = regex.compile(
    r"[\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)
# Punctuation that belongs to no word after it: no answer begins with it, so none is punctuation
# alone. Each run is read once.
_LOOSE = regex.compile(r"(?<!\p{P})\p{P}++(?!\S)")


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A passage's n tokens.

    `ids` are vocabulary numbers, int64 [n]; `starts` and `ends` are offsets into `text` in code
    points, int64 [n], grown to whole grapheme clusters; `begins` and `closes`, bool [n], say
    whether an answer may begin with (end with) that token.
    """

    text: str
    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    begins: NDArray[np.bool_]
    closes: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def cost(self) -> int:
        """See qa.kept: mostly that of the tokens, but a text can be long and have none."""
        return max(len(self), len(self.text) // CHARACTERS_A_TOKEN)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One model input, unpadded: [CLS] question [SEP] some passage tokens [SEP], or
    what `Frame` has in their place.

    `first` is the index in the passage of its first passage token, `count` how many there are, and
    `offset` where they begin in `input_ids`. `input_ids` and `token_type_ids` are int64
    [offset + count + 1].
    """

    first: int
    count: int
    offset: int
    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]


class Windower:
    """A model's tokenizer and frame. Its settings are fixed once, here: a shared tokenizer that is
    reconfigured per call fails under threads ("Already borrowed",
    huggingface/transformers#47085)."""

    def __init__(self, tokenizer_file: Path, frame: Frame, longest_answer: int) -> None:
        """Raise QAError where the file is no tokenizer or the frame's special tokens are none of
        its own."""
        try:
            # An opaque parser: it raises bare Exception for whatever is wrong with the file.
            self._tokenizer = Tokenizer.from_buffer(tokenizer_file.read_bytes())
        except Exception as error:
            raise QAError(
                f"{tokenizer_file} is not a readable tokenizer; install the model again."
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # "[SEP]" in somebody's text is five letters in brackets, not the model's separator.
        self._tokenizer.encode_special_tokens = True
        # Starts its threads: it panics where that fails, as it may later for want of memory.
        self._tokenizer.encode_batch(["", ""])
        # A vocabulary may have another family's as ordinary words: MPNet's has "[CLS]".
        added = self._tokenizer.get_added_tokens_decoder().items()
        special = {token.content: number for number, token in added if token.special}
        if not special.keys() >= {frame.cls, frame.sep}:
            raise QAError(
                f"{tokenizer_file} has no special tokens {frame.cls} and {frame.sep}; the model's "
                "card, model.json, has to name those it has."
            )
        self._cls, self._sep = special[frame.cls], special[frame.sep]
        self.frame = frame
        self.longest_answer = longest_answer
        self._kept: Kept[str, Passage] = Kept(KEPT_TOKENS)

    def question(self, text: str) -> tuple[list[int], bool]:
        """Return the question's token ids, cut to the frame's limit, and whether they were cut."""
        ids: list[int] = self._tokenizer.encode(_clean(text), add_special_tokens=False).ids
        return ids[: self.frame.max_question], len(ids) > self.frame.max_question

    def passage(self, text: str, check: Callable[[], object] = lambda: None) -> Passage:
        """Tokenize a passage of any length and any characters, or recall its tokens: those of
        passages asked about lately are kept. `check` is called now and then: what it raises ends
        the work."""
        passage = self._kept.get(text)
        if passage is None:
            passage = self._tokenize(text, check)
            self._kept.put(text, passage)
        return passage

    def _tokenize(self, text: str, check: Callable[[], object]) -> Passage:
        ids, offsets, words = map(
            np.concatenate, zip(*self._pieces(_clean(text), check), strict=True)
        )
        beyond_ascii = [match.span() for match in _NON_ASCII.finditer(text)]
        starts, ends = _whole_clusters(text, beyond_ascii, offsets[:, 0], offsets[:, 1])
        check()
        apart = np.append(words, True)  # may an answer begin at token i, or end before it?
        unspaced = np.fromiter(
            (match.start() for span in beyond_ascii for match in _UNSPACED.finditer(text, *span)),
            np.int64,
        )
        apart[:-1] |= np.isin(starts, unspaced)
        # A "word" of more tokens than an answer may have (a hash, a long compound) could never be
        # part of one.
        edges = np.flatnonzero(apart)
        in_long_word = np.repeat(np.diff(edges) > self.longest_answer, np.diff(edges))
        apart[:-1] |= in_long_word
        apart[1:-1] &= starts[1:] >= ends[:-1]  # two tokens of one grapheme cluster stay together
        loose = chain.from_iterable(range(*match.span()) for match in _LOOSE.finditer(text))
        begins = apart[:-1] & ~np.isin(starts, np.fromiter(loose, np.int64))
        if not begins.any():  # there is nothing but punctuation
            begins = apart[:-1]
        return Passage(text, ids, starts, ends, begins, apart[1:])

    def _pieces(
        self, text: str, check: Callable[[], object]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
        """Tokenize piece after piece: give the ids of its n tokens, int64 [n], their offsets into
        the text, int64 [n, 2], and whether a word begins with each, bool [n]."""
        pieces, offset = _PIECE.findall(text) or [""], 0
        for first in range(0, len(pieces), PIECES_AT_ONCE):
            check()
            batch = pieces[first : first + PIECES_AT_ONCE]
            encodings = self._tokenizer.encode_batch(batch, add_special_tokens=False)
            for piece, encoding in zip(batch, encodings, strict=True):
                n = len(encoding)
                ids = np.fromiter(encoding.ids, np.int64, n)
                offsets = np.fromiter(chain.from_iterable(encoding.offsets), np.int64, 2 * n)
                words = np.fromiter(encoding.word_ids, np.int64, n)
                yield ids, offsets.reshape(n, 2) + offset, np.diff(words, prepend=-1) != 0
                offset += len(piece)

    def windows(
        self,
        question: list[int],
        passage: Passage,
        advance: int,
        order: Iterable[int] | None = None,
    ) -> Iterator[Window]:
        """Cut windows that advance by `advance` passage tokens (BERT's doc stride), in the order of
        these numbers, by default from the first to the last.

        Raises ValueError unless 0 < advance <= capacity(question).
        """
        capacity = self.capacity(question)
        if not 0 < advance <= capacity:
            raise ValueError(f"advance is {advance}; it must be between 1 and {capacity}")
        head = [self._cls, *question, *[self._sep] * self.frame.question_separators]
        for number in order if order is not None else range(self.count(question, passage, advance)):
            first = number * advance
            body = passage.ids[first : first + capacity]
            input_ids = np.concatenate((head, body, [self._sep]))
            token_type_ids = np.zeros_like(input_ids)
            token_type_ids[len(head) :] = 1
            yield Window(first, len(body), len(head), input_ids, token_type_ids)

    def capacity(self, question: list[int]) -> int:
        """Return how many passage tokens fit beside this question."""
        return capacity(self.frame, len(question))

    def count(self, question: list[int], passage: Passage, advance: int) -> int:
        """Return how many windows it takes to read the passage."""
        beyond = max(0, len(passage) - self.capacity(question))
        return -(-beyond // advance) + 1 if len(passage) else 0


def capacity(frame: Frame, question_tokens: int) -> int:
    """Return how many passage tokens fit beside a question of so many."""
    return frame.max_sequence - 2 - frame.question_separators - question_tokens


def _clean(text: str) -> str:
    return str(_SURROGATE.sub("\ufffd", text))


def _whole_clusters(
    text: str,
    beyond_ascii: Iterable[tuple[int, int]],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Grow [starts, ends) to whole extended grapheme clusters."""
    # Every cluster of more than one code point that can touch a token holds a non-ASCII character
    # (UAX #29; CR LF, the exception, is white space), with one ASCII neighbour each side at most.
    clusters = (
        span
        for first, stop in beyond_ascii
        for match in CLUSTER.finditer(text, max(0, first - 1), stop + 1)
        if (span := match.span())[1] - span[0] > 1
    )
    # An array at once: as many pairs of numbers would take eight times the memory.
    edges = np.fromiter(chain.from_iterable(clusters), np.int64)
    if not len(edges):
        return starts.copy(), ends.copy()
    cluster_starts, cluster_ends = edges.reshape(-1, 2).T
    before = np.maximum(np.searchsorted(cluster_starts, starts, "right") - 1, 0)
    cut = (cluster_starts[before] < starts) & (starts < cluster_ends[before])
    new_starts = np.where(cut, cluster_starts[before], starts)
    before = np.maximum(np.searchsorted(cluster_starts, ends, "left") - 1, 0)
    cut = (cluster_starts[before] < ends) & (ends < cluster_ends[before])
    return new_starts, np.where(cut, cluster_ends[before], ends)
