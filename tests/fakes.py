"""Models for laws that do not depend on weights."""

import numpy as np

from qa.spans import WindowLogits
from qa.windows import Window


class RandomModel:
    """Logits drawn from the window's tokens: the same window always gets the same ones."""

    def run(self, window: Window) -> WindowLogits:
        random = np.random.default_rng(window.input_ids.astype(np.uint64))
        start, end = random.normal(0, 5, (2, len(window.input_ids))).astype(np.float32)
        return WindowLogits(window.first, window.count, window.offset, start, end)


class PointingModel:
    """Points at the passage tokens `start` and `end`, by their vocabulary numbers."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def run(self, window: Window) -> WindowLogits:
        start, end = (
            np.where(window.input_ids == token, 10.0, 0.0).astype(np.float32)
            for token in (self.start, self.end)
        )
        return WindowLogits(window.first, window.count, window.offset, start, end)
