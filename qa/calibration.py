"""Do scores mean what they say? Calibration error, reliability and ROC curve, from scores and
outcomes alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BINS = 15  # as is customary since Guo et al. 2017 (arXiv 1706.04599)


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose score lies in one interval: how many, their mean score, and the share that
    is right."""

    count: int
    score: float
    right: float


def reliability(scores: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Sort answers into `bins` equal intervals of [0, 1] by score; empty ones are left out.

    `scores` are floats in [0, 1], `right` their outcomes, 0 or 1, both [n].
    """
    score, outcome = np.asarray(scores, float), np.asarray(right, float)
    number = np.minimum((score * bins).astype(int), bins - 1)
    return [
        Bin(int(inside.sum()), float(score[inside].mean()), float(outcome[inside].mean()))
        for inside in (number == i for i in range(bins))
        if inside.any()
    ]


def expected_calibration_error(scores: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Return the mean gap between score and share of right answers, weighted by the answers in each
    bin (Naeini et al. 2015, as used by Guo et al. 2017)."""
    found = reliability(scores, right, bins)
    total = sum(b.count for b in found)
    return sum(b.count * abs(b.score - b.right) for b in found) / total if total else 0.0


def area_under_roc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Return the chance that a positive case scores above a negative one, ties counting half.

    `scores` are floats [n], `positive` bools [n]. Raises ValueError unless there are cases of both
    kinds.
    """
    score, label = np.asarray(scores, float), np.asarray(positive, bool)
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives:
        raise ValueError("The area under the ROC curve needs positive and negative cases.")
    # The Mann-Whitney statistic: ranks, with equal scores sharing their mean rank.
    _, index, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return float((rank[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))
