"""Calibration figures against cases worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.calibration import Bin, area_under_roc, expected_calibration_error, reliability


def test_reliability_bins() -> None:
    bins = reliability([0.05, 0.15, 0.95, 1.0], [0, 1, 1, 0], bins=10)
    assert bins == [Bin(1, 0.05, 0), Bin(1, 0.15, 1), Bin(2, 0.975, 0.5)]


def test_expected_calibration_error() -> None:
    # Two answers at 0.9 of which one is right, two at 0.1 of which none is.
    error = expected_calibration_error([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0])
    assert error == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0
    assert expected_calibration_error([], []) == 0


def test_area_under_roc() -> None:
    assert area_under_roc([0.9, 0.8, 0.3], [True, True, False]) == 1
    assert area_under_roc([0.9, 0.8, 0.3], [False, False, True]) == 0
    assert area_under_roc([0.9, 0.5, 0.6], [True, True, False]) == 0.5
    with pytest.raises(ValueError, match="positive and negative"):
        area_under_roc([0.5], [True])


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2))
def test_area_under_roc_is_the_share_of_pairs(cases: list[tuple[int, bool]]) -> None:
    positives = [score for score, label in cases if label]
    negatives = [score for score, label in cases if not label]
    if not positives or not negatives:
        return
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    scores, labels = zip(*cases, strict=True)
    assert area_under_roc(scores, labels) == pytest.approx(sum(pairs) / len(pairs))
