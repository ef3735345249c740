"""How fast a model is on this machine: milliseconds for windows of set lengths.

Token ids stand for text here; what they are does not matter for speed. How this project compares
with others is in benchmarks/.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qa.reader import Reader
from qa.windows import Window

LENGTHS = (64, 128, 256, 384)
RUNS = 7


@dataclass(frozen=True, slots=True)
class Speed:
    """The median time a window of `tokens` tokens takes, one at a time."""

    tokens: int
    milliseconds: float

    @property
    def per_second(self) -> float:
        """Windows in a second: questions, where question and passage fit one."""
        return 1000 / self.milliseconds

    @property
    def tokens_per_second(self) -> float:
        return self.tokens * self.per_second


def measure(reader: Reader, runs: int = RUNS) -> Iterator[Speed]:
    """Measure length after length, up to the longest the model takes."""
    for tokens in LENGTHS:
        if tokens > reader.windower.frame.max_sequence:
            return
        ids = np.arange(tokens, dtype=np.int64) + 1000
        window = Window(0, tokens - 2, 1, ids, np.zeros_like(ids))
        reader.model.run(window)  # the first run of a length sets up memory
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            reader.model.run(window)
            times.append(1000 * (time.perf_counter() - started))
        yield Speed(tokens, statistics.median(times))
