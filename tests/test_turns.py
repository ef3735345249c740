"""Readings take turns, and end when nobody wants them any more."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from qa import InputError, Reader
from qa.reader import Model
from qa.spans import WindowLogits
from qa.windows import Window
from tests import loops
from tests.fakes import RandomModel
from tests.texts import prose
from ui.turns import AT_ONCE, Turn, Turns

LONG = prose(4000)


class CountingModel(RandomModel):
    """Counts the windows that it was given."""

    def __init__(self) -> None:
        self.read = 0

    def run(self, window: Window) -> WindowLogits:
        self.read += 1
        return super().run(window)


@pytest.fixture
def hasty(reader_of: Callable[[Model], Reader], monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A reader that gives a result after each window."""
    reader = reader_of(CountingModel())
    stream = reader.stream
    monkeypatch.setattr(reader, "stream", lambda *asked: stream(*asked, pause=0))
    return reader


async def read(turn: Turn, reader: Reader, text: str, until: int | None = None) -> list[int]:
    """Return how many windows each result came from; stop after so many."""
    seen = []
    async with aclosing(turn.results(reader, "Who?", text, 1)) as results:
        async for result in results:
            seen.append(result.read)
            if len(seen) == until:
                break
    return seen


def windows_read(reader: Reader) -> int:
    assert isinstance(reader.model, CountingModel)
    return reader.model.read


def test_results_come_until_all_is_read(hasty: Reader) -> None:
    async def run() -> list[int]:
        with Turns().begin() as turn:
            return await read(turn, hasty, LONG)

    seen = loops.run(run())
    assert seen == list(range(1, windows_read(hasty) + 1))
    assert len(seen) > 10


@pytest.mark.parametrize("superseded", [False, True])
def test_what_is_stopped_is_read_no_further(hasty: Reader, superseded: bool) -> None:
    turns = Turns()

    async def run() -> Turn:
        with turns.begin() as turn:
            async with aclosing(turn.results(hasty, "Who?", LONG, 1)) as results:
                async for result in results:
                    if result.read == 3:
                        (turns.supersede if superseded else turns.stop)(turn.name)
            turns.stop("another name")
        return turn

    turn = loops.run(run())
    assert windows_read(hasty) == 3
    assert turn.superseded == superseded
    turns.stop(turn.name)  # it has ended: nothing to stop


def test_whoever_leaves_is_read_for_no_longer(hasty: Reader) -> None:
    async def run() -> None:
        with Turns().begin() as turn:
            await read(turn, hasty, LONG, until=2)

    loops.run(run())
    assert windows_read(hasty) == 2


def test_a_short_text_does_not_wait_for_long_ones(hasty: Reader) -> None:
    turns = Turns()

    async def one(text: str) -> int:
        with turns.begin() as turn:
            await read(turn, hasty, text)
        return windows_read(hasty)

    async def run() -> int:
        long = [asyncio.create_task(one(LONG)) for _ in range(AT_ONCE + 1)]
        await asyncio.sleep(0)
        done = await one("A word.")
        for task in long:
            await task
        return done

    assert loops.run(run()) < windows_read(hasty) / 2


def test_what_cannot_be_asked_is_told(hasty: Reader) -> None:
    async def run() -> None:
        with Turns().begin() as turn:
            await read(turn, hasty, " ")

    with pytest.raises(InputError, match="The passage is empty"):
        loops.run(run())
