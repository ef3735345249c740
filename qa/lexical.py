"""Which windows of a long passage promise an answer: BM25 between the question's tokens and theirs.

It says only what to read first. Every window is read in the end, and where answers stand in the
ranking is the model's to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# After Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
# Their length normalization is left out: all windows but the last are of one length.
_SATURATION = 1.2


def promising(
    question: Sequence[int],
    ids: NDArray[np.int64],
    firsts: NDArray[np.int64],
    capacity: int,
) -> NDArray[np.int64]:
    """Return the numbers of the windows, the most promising first, equals in reading order.

    `question` and `ids`, int64 [n], are the tokens of question and passage; windows begin at the
    passage tokens `firsts`, int64 [windows], and hold `capacity` of them.
    """
    score = np.zeros(len(firsts))
    for token in set(question):
        places = np.flatnonzero(ids == token)
        frequency = np.searchsorted(places, firsts + capacity) - np.searchsorted(places, firsts)
        holding = np.count_nonzero(frequency)
        rarity = np.log1p((len(firsts) - holding + 0.5) / (holding + 0.5))
        score += rarity * frequency / (frequency + _SATURATION)
    return np.argsort(-score, kind="stable")
