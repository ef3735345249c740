"""Readings take turns, and end when nobody wants them any more."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest
from anyio import CapacityLimiter

from qa import InputError, Reader, Result
from qa.reader import Model
from qa.spans import WindowLogits
from qa.windows import Window
from tests import loops
from tests.fakes import RandomModel
from tests.texts import prose
from ui.turns import Turn, Turns

LONG = prose(4000)
AT_ONCE = 2


class CountingModel(RandomModel):
    """Counts the windows that it was given."""

    def __init__(self) -> None:
        self.read = 0

    def run(self, window: Window) -> WindowLogits:
        self.read += 1
        return super().run(window)


@pytest.fixture
def counting(reader_of: Callable[[Model], Reader]) -> Reader:
    return reader_of(CountingModel())


def results_of(turn: Turn, reader: Reader, text: str) -> AsyncGenerator[Result, None]:
    return turn.steps(reader, lambda mine: mine.stream("Who?", text, 1, pause=0))


async def read(turn: Turn, reader: Reader, text: str, until: int | None = None) -> list[int]:
    """Return how many windows each result came from; stop after so many."""
    seen = []
    async with aclosing(results_of(turn, reader, text)) as results:
        async for result in results:
            seen.append(result.read)
            if len(seen) == until:
                break
    return seen


def windows_read(reader: Reader) -> int:
    assert isinstance(reader.model, CountingModel)
    return reader.model.read


def test_results_come_until_all_is_read(counting: Reader) -> None:
    async def run() -> list[int]:
        with Turns(CapacityLimiter(AT_ONCE)).begin("ada") as turn:
            return await read(turn, counting, LONG)

    seen = loops.run(run())
    assert seen == list(range(1, windows_read(counting) + 1))
    assert len(seen) > 10


@pytest.mark.parametrize("superseded", [False, True])
def test_what_is_stopped_is_read_no_further(counting: Reader, superseded: bool) -> None:
    turns = Turns(CapacityLimiter(AT_ONCE))

    async def run() -> Turn:
        with turns.begin("ada") as turn:
            async with aclosing(results_of(turn, counting, LONG)) as results:
                async for result in results:
                    if result.read == 3:
                        (turns.supersede if superseded else turns.stop)("ada")
                    turns.stop("bob")
        return turn

    turn = loops.run(run())
    assert windows_read(counting) == 3
    assert turn.superseded == superseded
    turns.stop("ada")  # it has ended: nothing to stop


def test_a_visitors_later_turn_supersedes_the_one_before() -> None:
    turns = Turns(CapacityLimiter(AT_ONCE))
    with turns.begin("ada") as first, turns.begin("bob") as other:
        assert first.wanted()
        with turns.begin("ada") as second:
            assert (first.wanted(), second.wanted(), other.wanted()) == (False, True, True)
            assert first.superseded
        assert not first.wanted()


def test_an_earlier_turn_that_ends_late_leaves_the_later_one_alone() -> None:
    turns = Turns(CapacityLimiter(AT_ONCE))
    earlier = turns.begin("ada")
    earlier.__enter__()
    with turns.begin("ada") as turn:
        earlier.__exit__(None, None, None)
        turns.stop("ada")
        assert turn.stopped


def test_whoever_leaves_is_read_for_no_longer(counting: Reader) -> None:
    async def run() -> None:
        with Turns(CapacityLimiter(AT_ONCE)).begin("ada") as turn:
            await read(turn, counting, LONG, until=2)

    loops.run(run())
    assert windows_read(counting) == 2


def test_a_short_text_does_not_wait_for_long_ones(counting: Reader) -> None:
    turns = Turns(CapacityLimiter(AT_ONCE))

    async def one(visitor: str, text: str) -> int:
        with turns.begin(visitor) as turn:
            await read(turn, counting, text)
        return windows_read(counting)

    async def run() -> int:
        long = [asyncio.create_task(one(str(each), LONG)) for each in range(AT_ONCE + 1)]
        await asyncio.sleep(0)
        done = await one("ada", "A word.")
        for task in long:
            await task
        return done

    assert loops.run(run()) < windows_read(counting) / 2


def test_what_cannot_be_asked_is_told(counting: Reader) -> None:
    async def run() -> None:
        with Turns(CapacityLimiter(AT_ONCE)).begin("ada") as turn:
            await read(turn, counting, " ")

    with pytest.raises(InputError, match="The passage is empty"):
        loops.run(run())
