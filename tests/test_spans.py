"""Ranking against a slow, obvious reference, and the laws of scores on adversarial logits."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from qa.errors import QAError
from qa.spans import Ranking, Span, SpanLogits, WindowLogits, squad_best

Mask = NDArray[np.bool_]


def rank(
    windows: Sequence[WindowLogits],
    begins: Mask,
    closes: Mask,
    *,
    top_k: int,
    longest: int,
    temperature: float = 1.0,
    null_bias: float | None = None,
) -> Ranking:
    logits = SpanLogits(begins, closes, longest)
    for window in windows:
        logits.add(window)
    return logits.rank(top_k, temperature=temperature, null_bias=null_bias)


def slow_rank(
    windows: Sequence[WindowLogits],
    begins: Mask,
    closes: Mask,
    top_k: int,
    longest: int,
    null_bias: float | None,
) -> tuple[list[tuple[int, int, float]], float | None]:
    """Return (first, last, score), best first, and no answer: the definition, span by span."""
    logits: dict[tuple[int, int], float] = {}
    for window in windows:
        for i in range(window.count):
            for j in range(i, min(window.count, i + longest)):
                span = (window.first + i, window.first + j)
                if begins[span[0]] and closes[span[1]]:
                    start, end = window.start[window.offset + i], window.end[window.offset + j]
                    null = float(window.start[0]) + float(window.end[0])
                    logit = float(start) + float(end) - null
                    logits[span] = max(logits.get(span, -math.inf), logit)
    outcomes = [*logits.values(), *([] if null_bias is None else [null_bias])]
    highest = max(outcomes, default=0.0)
    total = math.fsum(math.exp(logit - highest) for logit in outcomes)
    chosen: list[tuple[int, int, float]] = []
    for (first, last), logit in sorted(logits.items(), key=lambda item: (-item[1], item[0])):
        if len(chosen) < top_k and all(last < a or first > b for a, b, _ in chosen):
            chosen.append((first, last, math.exp(logit - highest) / total))
    return chosen, None if null_bias is None else math.exp(null_bias - highest) / total


@st.composite
def cases(
    draw: st.DrawFn, elements: st.SearchStrategy[float]
) -> tuple[list[WindowLogits], Mask, Mask]:
    """Windows over a passage of up to 30 tokens, that leave no token out, and where spans may begin
    and end."""
    n = draw(st.integers(1, 30))
    count = draw(st.integers(1, n))
    advance = draw(st.integers(1, count))
    offset = draw(st.integers(0, 3))
    windows = []
    for first in range(0, n, advance):
        size = min(count, n - first)
        length = offset + size + 1
        start, end = draw(hnp.arrays(np.float32, (2, length), elements=elements))
        windows.append(WindowLogits(first, size, offset, start, end))
        if first + count >= n:
            break
    begins, closes = draw(hnp.arrays(np.bool_, (2, n)))
    return windows, begins, closes


# Whole numbers: sums are exact, so the reference's ties are ties here too.
whole_logits = st.integers(-20, 20).map(float)
wild_logits = st.floats(width=32, allow_nan=False)
null_biases = st.none() | st.integers(-10, 10).map(float)


def test_rank_equals_the_reference() -> None:
    """10,000 random cases."""
    random = np.random.default_rng(1)
    for _ in range(10_000):
        assert_ranked_as_by_the_reference(*random_case(random))


def random_case(
    random: np.random.Generator,
) -> tuple[list[WindowLogits], Mask, Mask, int, int, float | None]:
    """What `cases` draws, and the options of a ranking, by a faster generator. Logits are whole
    numbers: sums are exact, so the reference's ties are ties here too."""
    n = int(random.integers(1, 13))
    count = int(random.integers(1, n + 1))
    advance, offset = int(random.integers(1, count + 1)), int(random.integers(0, 4))
    windows = []
    for first in range(0, n, advance):
        size = min(count, n - first)
        start, end = random.integers(-8, 9, (2, offset + size + 1)).astype(np.float32)
        windows.append(WindowLogits(first, size, offset, start, end))
        if first + count >= n:
            break
    begins, closes = random.random((2, n)) < 0.8
    null_bias = None if random.random() < 0.3 else float(random.integers(-10, 11))
    top_k, longest = int(random.integers(1, 7)), int(random.integers(1, 9))
    return windows, begins, closes, top_k, longest, null_bias


@settings(max_examples=200, deadline=None)
@given(cases(whole_logits), st.integers(1, 6), st.integers(1, 8), null_biases)
def test_rank_equals_the_reference_on_contrived_cases(
    case: tuple[list[WindowLogits], Mask, Mask], top_k: int, longest: int, null_bias: float | None
) -> None:
    assert_ranked_as_by_the_reference(*case, top_k, longest, null_bias)


def assert_ranked_as_by_the_reference(
    windows: list[WindowLogits],
    begins: Mask,
    closes: Mask,
    top_k: int,
    longest: int,
    null_bias: float | None,
) -> None:
    expected, no_answer = slow_rank(windows, begins, closes, top_k, longest, null_bias)
    ranking = rank(windows, begins, closes, top_k=top_k, longest=longest, null_bias=null_bias)
    assert [(s.first, s.last) for s in ranking.spans] == [span[:2] for span in expected]
    assert [s.score for s in ranking.spans] == pytest.approx([score for _, _, score in expected])
    assert ranking.no_answer == pytest.approx(no_answer)


@settings(max_examples=200, deadline=None)
@given(cases(wild_logits), st.integers(1, 6), st.integers(1, 8), st.floats(0.1, 10), null_biases)
def test_laws_of_scores(
    case: tuple[list[WindowLogits], Mask, Mask],
    top_k: int,
    longest: int,
    temperature: float,
    null_bias: float | None,
) -> None:
    windows, begins, closes = case
    ranking = rank(
        windows,
        begins,
        closes,
        top_k=top_k,
        longest=longest,
        temperature=temperature,
        null_bias=null_bias,
    )
    scores = [span.score for span in ranking.spans]
    assert all(0 <= score <= 1 for score in scores)
    assert 0 <= (ranking.no_answer or 0) <= 1
    assert sum(scores) + (ranking.no_answer or 0) <= 1 + 1e-6
    assert scores == sorted(scores, reverse=True)
    for a in ranking.spans:
        assert begins[a.first]
        assert closes[a.last]
        assert a.first <= a.last < a.first + longest
        assert all(a is b or a.last < b.first or b.last < a.first for b in ranking.spans)


def test_ranking_again_and_in_any_order_changes_nothing() -> None:
    random = np.random.default_rng(7)
    windows = [
        WindowLogits(first, 20, 2, *random.normal(0, 5, (2, 23)).astype(np.float32))
        for first in range(0, 60, 10)
    ]
    forwards, backwards = (SpanLogits(*all_allowed(70), 8) for _ in range(2))
    for window in windows:
        forwards.add(window)
        forwards.rank(5, null_bias=2.0)
    for window in reversed(windows):
        backwards.add(window)
    assert forwards.rank(5, null_bias=2.0) == backwards.rank(5, null_bias=2.0)


def one_window(start: Sequence[float], end: Sequence[float]) -> list[WindowLogits]:
    start_logits, end_logits = (np.array([0, *logits, 0], np.float32) for logits in (start, end))
    return [WindowLogits(0, len(start), 1, start_logits, end_logits)]


def all_allowed(n: int) -> tuple[Mask, Mask]:
    return np.ones(n, np.bool_), np.ones(n, np.bool_)


def test_equal_text_at_two_places_stays_two_answers() -> None:
    windows = one_window([5, 0, 0, 5], [5, 0, 0, 5])
    first, second = rank(windows, *all_allowed(4), top_k=2, longest=1).spans
    assert (first.first, second.first) == (0, 3)
    assert first.score == second.score


def test_a_span_seen_in_two_windows_counts_once() -> None:
    logits = np.array([0, 3, 0], np.float32)
    twice = [WindowLogits(0, 1, 1, logits, logits)] * 2
    ranking = rank(twice, *all_allowed(1), top_k=5, longest=3)
    assert ranking == Ranking([Span(0, 0, 6.0, 1.0)], None)


@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_infinite_logits_rank(infinity: float) -> None:
    windows = one_window([infinity, 1], [1, infinity])
    spans = rank(windows, *all_allowed(2), top_k=2, longest=2).spans
    assert math.isfinite(sum(span.score for span in spans))


def test_nan_is_refused() -> None:
    with pytest.raises(QAError, match="not numbers"):
        rank(one_window([math.nan, 1], [1, 1]), *all_allowed(2), top_k=1, longest=2)


def test_no_tokens_no_spans() -> None:
    assert rank([], *all_allowed(0), top_k=3, longest=30) == Ranking([], None)
    assert rank([], *all_allowed(0), top_k=3, longest=30, null_bias=0.0) == Ranking([], 1.0)


def test_spans_are_measured_against_their_own_windows_null() -> None:
    """The second window's logits are higher all over, its answer no better than nothing."""
    sure = WindowLogits(0, 1, 1, np.array([-3, 2, 0], np.float32), np.array([-3, 2, 0], np.float32))
    high = WindowLogits(1, 1, 1, np.array([9, 9, 0], np.float32), np.array([9, 9, 0], np.float32))
    first, second = rank([sure, high], *all_allowed(2), top_k=2, longest=1).spans
    assert (first.first, first.logit) == (0, 10.0)
    assert (second.first, second.logit) == (1, 0.0)


# ---- BERT's run_squad ----


def slow_squad_best(
    windows: Sequence[WindowLogits], longest: int, candidates: int
) -> set[tuple[int, int]]:
    """Return the best spans (several where they tie) by run_squad.py's write_predictions, restated
    over one list of all pairs."""

    def is_max_context(number: int, token: int) -> bool:
        scores = {
            n: min(token - w.first, w.stop - 1 - token) + 0.01 * w.count
            for n, w in enumerate(windows)
            if w.first <= token < w.stop
        }
        return max(scores, key=lambda n: scores[n]) == number

    def best_indexes(logits: NDArray[np.float32]) -> list[int]:
        return sorted(range(len(logits)), key=lambda i: -logits[i])[:candidates]

    pairs: dict[tuple[int, int], float] = {}
    for number, window in enumerate(windows):
        for start in best_indexes(window.start):
            for end in best_indexes(window.end):
                inside = all(0 <= i - window.offset < window.count for i in (start, end))
                if not inside or end < start or end - start + 1 > longest:
                    continue
                first, last = (window.first + i - window.offset for i in (start, end))
                if is_max_context(number, first):
                    logit = float(window.start[start]) + float(window.end[end])
                    pairs[first, last] = max(pairs.get((first, last), -math.inf), logit)
    best = max(pairs.values(), default=0.0)
    return {span for span, logit in pairs.items() if logit == best}


@settings(max_examples=200, deadline=None)
@given(cases(whole_logits), st.integers(1, 8), st.integers(1, 5))
def test_squad_best_equals_run_squad(
    case: tuple[list[WindowLogits], Mask, Mask], longest: int, candidates: int
) -> None:
    windows, _, _ = case
    best = squad_best(windows, longest=longest, candidates=candidates)
    expected = slow_squad_best(windows, longest, candidates)
    assert best in expected if expected else best is None
