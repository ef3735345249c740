"""Logits of all windows -> ranked spans with scores. Pure numpy: no text, no model, no files.

A span's logit is its start logit plus its end logit, less the same sum at its window's first
token, which stands for "no answer here" (the null span: BERT, arXiv 1810.04805, section 4.3). So it
says how much better the span is than nothing, which compares across windows. A span that several
windows see counts once, with the highest logit it was given. Scores are one softmax over all spans
of all windows and the outcome that none of them is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qa.errors import QAError

# Beyond this a logit is as good as infinite; keeping it finite keeps sums and differences defined.
_LARGEST = np.float32(1e30)
# Spans so many temperatures below the best one add less to the sum of all weights, however many
# there are, than it can tell.
_NEGLIGIBLE = 60.0
_ROWS_AT_ONCE = 1 << 15  # of exponentials: bounds the memory a passage of a million tokens takes


@dataclass(frozen=True, slots=True, eq=False)
class WindowLogits:
    """A window's logits, `start` and `end` float32 [length], over its whole input. `count` of them,
    from position `offset` on, belong to passage tokens, the first of which is token `first` of the
    passage."""

    first: int
    count: int
    offset: int
    start: NDArray[np.float32]
    end: NDArray[np.float32]

    @property
    def stop(self) -> int:
        return self.first + self.count

    @property
    def passage(self) -> slice:
        """The positions of passage tokens in the input."""
        return slice(self.offset, self.offset + self.count)

    @property
    def null(self) -> np.float32:
        """The logit of the null span."""
        return np.float32(finite(self.start)[0] + finite(self.end)[0])


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `first` to `last` of the passage, both included; `score` is a probability in [0,
    1]."""

    first: int
    last: int
    logit: float
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """Spans, best first, and the probability that none of all spans is the answer, None where the
    model's card has no bias to tell it by."""

    spans: list[Span]
    no_answer: float | None


class SpanLogits:
    """The logit of every span of a passage, as far as its windows have been read.

    `begins` and `closes`, bool [n], say for each of the passage's tokens whether a span may begin
    (end) there; `longest` is the most tokens a span may have. `band`, float32 [n, longest], holds
    at i, j the logit of the span from token i to token i + j, -inf if there is none.
    """

    def __init__(self, begins: NDArray[np.bool_], closes: NDArray[np.bool_], longest: int) -> None:
        self.longest = longest
        self.band = np.full((len(begins), longest), -np.inf, np.float32)
        self._best = np.full(len(begins), -np.inf, np.float32)  # of each row of the band
        self._begins, self._closes = begins, closes
        self._beyond = np.full(longest - 1, -np.inf, np.float32)

    def add(self, window: WindowLogits) -> None:
        """Take in what a window says. Raises QAError where a logit is NaN."""
        if np.isnan(window.start).any() or np.isnan(window.end).any():
            raise QAError("The model gave logits that are not numbers; install the model again.")
        rows = slice(window.first, window.stop)
        start = np.where(self._begins[rows], finite(window.start)[window.passage], -np.inf)
        end = np.where(self._closes[rows], finite(window.end)[window.passage], -np.inf)
        ends = sliding_window_view(np.concatenate((end, self._beyond)), self.longest)
        logits = start[:, None] + ends - window.null  # [count, longest]
        np.maximum(self.band[rows], logits, out=self.band[rows])
        self._best[rows] = self.band[rows].max(axis=1, initial=-np.inf)

    def rank(
        self, top_k: int, *, temperature: float = 1.0, null_bias: float | None = None
    ) -> Ranking:
        """Rank the `top_k` best spans, none overlapping another.

        `temperature` and `null_bias` turn logits into scores: they are divided by the one, and no
        answer has the other for its logit. Equal logits rank by position.
        """
        row_best = self._best.copy()
        null = -np.inf if null_bias is None else null_bias
        highest = max(row_best.max(initial=-np.inf), null)
        if highest == -np.inf:
            return Ranking([], None)

        def weight(logit: Any) -> Any:
            return np.exp((logit - highest) / temperature)

        near = np.flatnonzero(row_best >= highest - _NEGLIGIBLE * temperature)
        total = weight(null) + sum(
            weight(self.band[near[i : i + _ROWS_AT_ONCE]]).sum(dtype=np.float64)
            for i in range(0, len(near), _ROWS_AT_ONCE)
        )
        # How many tokens a span that begins here may still have without overlapping a chosen one.
        room = np.full(len(self.band), self.longest)
        spans: list[Span] = []
        while len(spans) < top_k and (logit := row_best.max(initial=-np.inf)) > -np.inf:
            first = int(row_best.argmax())
            last = first + int(self.band[first, : room[first]].argmax())
            spans.append(Span(first, last, float(logit), float(weight(logit) / total)))
            reach = max(0, first - self.longest + 1)
            room[reach:first] = np.minimum(room[reach:first], np.arange(first - reach, 0, -1))
            room[first : last + 1] = 0
            for row in range(reach, last + 1):
                row_best[row] = self.band[row, : room[row]].max(initial=-np.inf)
        return Ranking(spans, None if null_bias is None else float(weight(null) / total))


def finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return logits.clip(-_LARGEST, _LARGEST)


def squad_best(
    windows: Sequence[WindowLogits], *, longest: int = 30, candidates: int = 20
) -> tuple[int, int] | None:
    """Return first and last token of the answer by the procedure of BERT's run_squad.py
    (google-research/bert), which the accuracy figures of model cards come from: in each window the
    `candidates` best starts and ends, a start counting only in the window that shows it with the
    most context; the best pair over all windows. None if no pair is valid.
    """
    best, best_logit = None, -np.inf
    edges = np.array([(window.first, window.stop) for window in windows])
    for number, window in enumerate(windows):
        # The candidates are the best of the whole input; those outside the passage drop out only
        # then.
        starts = np.argsort(-window.start, kind="stable")[:candidates] - window.offset
        ends = np.argsort(-window.end, kind="stable")[:candidates] - window.offset
        starts, ends = (c[(c >= 0) & (c < window.count)] for c in (starts, ends))
        starts = starts[_most_context(window.first + starts, edges) == number]
        if not (len(starts) and len(ends)):
            continue
        length = ends[None, :] - starts[:, None] + 1
        start, end = window.start[window.passage], window.end[window.passage]
        logits = start[starts][:, None] + end[ends][None, :]
        logits = np.where((length > 0) & (length <= longest), logits, -np.inf)
        i, j = np.unravel_index(logits.argmax(), logits.shape)
        if logits[i, j] > best_logit:
            best_logit = logits[i, j]
            best = (window.first + int(starts[i]), window.first + int(ends[j]))
    return best


def _most_context(tokens: NDArray[np.intp], edges: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return for each passage token the window that shows it with the most context: the smaller of
    the tokens to its left and right, plus a hundredth of the window's length (run_squad.py's
    _check_is_max_context)."""
    first, stop = edges[:, 0, None], edges[:, 1, None]
    context = np.minimum(tokens - first, stop - 1 - tokens) + 0.01 * (stop - first)
    visible = np.where((first <= tokens) & (tokens < stop), context, -np.inf)
    return np.asarray(visible.argmax(axis=0))
