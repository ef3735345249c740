"""Why an answer won: what the model said of every window, and of every token around one answer.

A question is read against a passage once, by `Reading.run` or by the `Reader.stream` that answered
it (`Reading.of`); then any span can be looked at, the ranked answers or another one. All figures
are those `Reader.answer` ranks by. How they are combined is in `spans`; nothing is drawn here.

inside = look(Reader.load(), "Who lit the lamp?", passage)
inside.chosen.logit, inside.windows[inside.chosen.window - 1].logit
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa.errors import InputError
from qa.reader import LONGEST_ANSWER, MAX_ANSWERS, Reader
from qa.spans import Ranking, SpanLogits, WindowLogits, finite

CANDIDATES = 20  # how long the n-best list is, as in BERT's run_squad


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the window: `passage[start:end] == text`, and how likely the window holds it for
    the first (last) of the answer."""

    text: str
    start: int
    end: int
    start_probability: float
    end_probability: float


@dataclass(frozen=True, slots=True)
class WindowOnMap:
    """A window over `passage[start:end]`, numbered from 1. `logit` is that of its best span, None
    where no answer may stand; `won` says that the chosen span got its logit here."""

    number: int
    start: int
    end: int
    tokens: int
    logit: float | None
    won: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span: `passage[start:end] == text`.

    `start_logit`, `end_logit` and `null_logit` (start and end logit of the null span, added up) are
    those of window number `window`, where the span does best; `logit` is the first two less the
    third, `score` the probability that the span is the answer. `rank` is its place among the
    answers, None if it overlaps a better one or is beyond the end of this list.
    """

    text: str
    start: int
    end: int
    window: int
    start_logit: float
    end_logit: float
    null_logit: float
    logit: float
    score: float
    rank: int | None


@dataclass(frozen=True, slots=True)
class Inside:
    """What the model said of the `chosen` span's window and of the whole passage.

    `tokens` are the window's passage tokens. Their start probabilities are one softmax over the
    start logits of these tokens and of the window's first token, which stands for "no answer here"
    and has `null_start`; so they and it sum to 1. The question's tokens and the separators are left
    out, as they are no answers. The same with the end logits. No temperature is applied: this is
    what the model was trained to say. `candidates` are the best spans of all windows, overlaps left
    in. `no_answer` is the result's.
    """

    model: str
    chosen: Candidate
    null_start: float
    null_end: float
    tokens: tuple[Token, ...]
    windows: tuple[WindowOnMap, ...]
    candidates: tuple[Candidate, ...]
    no_answer: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def look(
    reader: Reader,
    question: str,
    passage: str,
    rank: int = 1,
    *,
    span: tuple[int, int] | None = None,
) -> Inside:
    """Read the passage and look at the answer of this rank, or at the span of these offsets.

    Raises InputError as `Reader.answer` and `Reading.look` do.
    """
    reading = Reading(reader, question, passage)
    for _ in reading.run():
        pass
    return reading.look(rank, span=span)


class Reading:
    """A question read against a passage: the logits of its windows."""

    def __init__(
        self, reader: Reader, question: str, passage: str, windows: int | None = None
    ) -> None:
        """Tokenize both. To be read are all windows, or those that `Reader.stream` reads first: so
        many. Raises what `Reader.stream` raises."""
        since = time.monotonic()
        reader.stream(question, passage)  # for its checks; nothing is read yet
        question_ids, _ = reader.windower.question(question)
        self._card = reader.card
        self._passage = reader.tokens(passage, since)
        self._numbers = sorted(reader.order(question_ids, self._passage)[:windows])
        self._to_read = reader.logits(question_ids, self._passage, order=self._numbers, since=since)
        self._read: list[WindowLogits] = []
        self.windows = len(self._numbers)

    @classmethod
    def of(
        cls, reader: Reader, question: str, passage: str, seen: Sequence[WindowLogits]
    ) -> Reading:
        """Make it from the windows that `Reader.stream` has `seen`: nothing is left to be run."""
        reading = cls(reader, question, passage, len(seen))
        reading._to_read = iter(())
        reading._read = sorted(seen, key=lambda window: window.first)
        return reading

    def __len__(self) -> int:
        """Return how many tokens the passage has."""
        return len(self._passage)

    @property
    def cost(self) -> int:
        """See qa.kept: that of the passage."""
        return self._passage.cost

    @property
    def read(self) -> Sequence[WindowLogits]:
        """The windows that have been read, in the order of the passage."""
        return self._read

    def run(self) -> Iterator[int]:
        """Read window after window; return after each how many have been read. To be run once, to
        its end."""
        for window in self._to_read:
            self._read.append(window)
            yield len(self._read)

    def look(self, rank: int = 1, *, span: tuple[int, int] | None = None) -> Inside:
        """Look at the answer of this rank or at the span of these offsets.

        Raises InputError where there is no such answer, or none may stand there.
        """
        if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= MAX_ANSWERS:
            raise InputError(f"The rank must be a whole number from 1 to {MAX_ANSWERS}.", "rank")
        spans = SpanLogits(self._passage.begins, self._passage.closes, LONGEST_ANSWER)
        for window in self._read:
            spans.add(window)
        card = self._card
        ranking = spans.rank(
            max(CANDIDATES, rank), temperature=card.temperature, null_bias=card.null_bias
        )
        first, last = self._ranked(ranking, rank) if span is None else self._tokens_of(*span)
        chosen = self._candidate(spans, ranking, first, last)
        window = self._read[self._numbers.index(chosen.window - 1)]
        null_start, start = _probabilities(window.start, window)
        null_end, end = _probabilities(window.end, window)
        return Inside(
            model=card.name,
            chosen=chosen,
            null_start=null_start,
            null_end=null_end,
            tokens=tuple(
                Token(*self._words(i, i), float(p), float(q))
                for i, p, q in zip(range(window.first, window.stop), start, end, strict=True)
            ),
            windows=tuple(
                self._on_map(number, seen, number == chosen.window)
                for number, seen in self._numbered()
            ),
            candidates=tuple(
                self._candidate(spans, ranking, first, last)
                for first, last in _best(spans.band, CANDIDATES)
            ),
            no_answer=ranking.no_answer,
        )

    def _numbered(self) -> Iterator[tuple[int, WindowLogits]]:
        """Give the windows that were read with their numbers, from 1."""
        return ((number + 1, read) for number, read in zip(self._numbers, self._read, strict=True))

    def _ranked(self, ranking: Ranking, rank: int) -> tuple[int, int]:
        """Return first and last token of the answer of this rank."""
        if not ranking.spans:
            raise InputError("The passage has no words that this model can read.", "passage")
        if rank > len(ranking.spans):
            raise InputError(f"There is no answer number {rank}; choose a better one.", "rank")
        chosen = ranking.spans[rank - 1]
        return chosen.first, chosen.last

    def _tokens_of(self, start: int, end: int) -> tuple[int, int]:
        """Return first and last token of the span from `start` to `end`."""
        tokens = self._passage
        if not (isinstance(start, int) and isinstance(end, int)):
            raise InputError("Where a span starts and ends must be whole numbers.", "start")
        firsts = np.flatnonzero((tokens.starts == start) & tokens.begins)
        lasts = np.flatnonzero((tokens.ends == end) & tokens.closes)
        if not (len(firsts) and len(lasts) and 0 <= lasts[0] - firsts[0] < LONGEST_ANSWER):
            raise InputError(
                f"No answer can stand from {start} to {end}; choose whole words, "
                f"at most {LONGEST_ANSWER} tokens of them.",
                "start",
            )
        return int(firsts[0]), int(lasts[0])

    def _candidate(self, spans: SpanLogits, ranking: Ranking, first: int, last: int) -> Candidate:
        number, window = max(
            (
                (number, window)
                for number, window in self._numbered()
                if window.first <= first and last < window.stop
            ),
            key=lambda seen: _logits(seen[1], first, last)[-1],
        )
        logit = float(spans.band[first, last - first])
        # One softmax gave the best span its score: the others stand to it as their weights do.
        best = ranking.spans[0]
        score = best.score * float(np.exp((logit - best.logit) / self._card.temperature))
        places = {(span.first, span.last): rank for rank, span in enumerate(ranking.spans, 1)}
        start_logit, end_logit, null_logit, _ = map(float, _logits(window, first, last))
        return Candidate(
            *self._words(first, last),
            number,
            start_logit,
            end_logit,
            null_logit,
            logit,
            score,
            places.get((first, last)),
        )

    def _on_map(self, number: int, window: WindowLogits, won: bool) -> WindowOnMap:
        rows = slice(window.first, window.stop)
        alone = SpanLogits(self._passage.begins[rows], self._passage.closes[rows], LONGEST_ANSWER)
        alone.add(replace(window, first=0))
        best = float(alone.band.max())
        start, end = self._passage.starts[rows][0], self._passage.ends[rows][-1]
        logit = best if best > -np.inf else None
        return WindowOnMap(number, int(start), int(end), window.count, logit, won)

    def _words(self, first: int, last: int) -> tuple[str, int, int]:
        """Return text and offsets of the passage from token `first` to token `last`."""
        start, end = int(self._passage.starts[first]), int(self._passage.ends[last])
        return self._passage.text[start:end], start, end


def _logits(
    window: WindowLogits, first: int, last: int
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Return a span's start logit, end logit, the window's null logit, and what they come to."""
    start = finite(window.start)[window.passage][first - window.first]
    end = finite(window.end)[window.passage][last - window.first]
    return start, end, window.null, start + end - window.null


def _best(band: NDArray[np.float32], most: int) -> list[tuple[int, int]]:
    """Return first and last token of the best spans, best first; equal ones by position."""
    # The best spans stand in the rows whose best is best.
    rows = np.sort(np.argsort(-band.max(axis=1), kind="stable")[:most])
    order = np.argsort(-band[rows], axis=None, kind="stable")[:most]
    return [
        (int(rows[i]), int(rows[i] + j))
        for i, j in zip(*np.unravel_index(order, (len(rows), band.shape[1])), strict=True)
        if band[rows[i], j] > -np.inf
    ]


def _probabilities(
    logits: NDArray[np.float32], window: WindowLogits
) -> tuple[float, NDArray[np.float64]]:
    """Return the null position's probability and that of each passage token."""
    counted = finite(np.concatenate((logits[:1], logits[window.passage]))).astype(np.float64)
    weights = np.exp(counted - counted.max())
    shares = weights / weights.sum()
    return float(shares[0]), shares[1:]
