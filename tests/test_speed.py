"""Speed is measured on windows of the lengths that are told."""

from collections.abc import Callable
from typing import Any

from qa import Reader
from qa.spans import WindowLogits
from qa.speed import LENGTHS, Speed, measure
from qa.windows import Window
from tests.fakes import RandomModel


class Watched(RandomModel):
    """Notes how long the windows are that it reads."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def run(self, window: Window) -> WindowLogits:
        self.lengths.append(len(window.input_ids))
        return super().run(window)


def test_each_length_is_measured_on_windows_as_long(reader_of: Callable[[Any], Reader]) -> None:
    model = Watched()
    speeds = list(measure(reader_of(model), runs=2))
    assert tuple(speed.tokens for speed in speeds) == LENGTHS
    assert all(speed.milliseconds > 0 for speed in speeds)
    assert model.lengths == [length for length in LENGTHS for _ in range(3)]


def test_windows_a_second() -> None:
    assert Speed(64, 8.0).per_second == 125
