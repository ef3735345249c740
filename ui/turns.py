"""What is worked on for the visitors of a page, until it is done, they say stop, ask anew or leave.

Those who have passages read take turns: only so many are read at a moment, each for a fifth of a
second before the next one gets its turn, so that a long text keeps nobody with a short one waiting.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from qa import Reader
from qa.errors import StoppedError
from ui import presence

_Step = TypeVar("_Step")


class Turns:
    """The latest turn of each visitor, by Gradio's name for their session. Safe to share between
    threads."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        """As many passages are read at a moment as the limiter has tokens."""
        self._limiter = limiter
        self._latest: dict[str | None, Turn] = {}
        self._lock = threading.Lock()

    @contextmanager
    def begin(self, visitor: str | None) -> Iterator[Turn]:
        """Begin a visitor's turn, which supersedes the one before."""
        turn = Turn(self._limiter)
        with self._lock:
            self.supersede(visitor)
            self._latest[visitor] = turn
        try:
            yield turn
        finally:
            with self._lock:
                if self._latest.get(visitor) is turn:
                    del self._latest[visitor]

    def stop(self, visitor: str | None) -> None:
        """End a visitor's turn; what was found so far is wanted."""
        if turn := self._latest.get(visitor):
            turn.stopped = True

    def supersede(self, visitor: str | None) -> None:
        """End a visitor's turn; nobody wants its result any more."""
        if turn := self._latest.get(visitor):
            turn.superseded = True


class Turn:
    """What is worked on for one visitor."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self.stopped = False
        self.superseded = False
        self._limiter = limiter
        self._there = presence.of_caller()

    def wanted(self) -> bool:
        """Whether the work should go on."""
        return not (self.stopped or self.superseded) and self._there()

    async def steps(
        self, reader: Reader, ask: Callable[[Reader], Generator[_Step, None, None]]
    ) -> AsyncGenerator[_Step, None]:
        """Give what `ask` yields, given the reader, until it ends or is not wanted any more, which
        is noticed at the next window. Closing this iterator ends the work as well.

        Raises what `ask` raises.
        """
        reader = reader.wanted_while(self.wanted)
        work = await to_thread.run_sync(ask, reader, limiter=self._limiter)
        try:
            while self.wanted():
                step = await to_thread.run_sync(next, work, None, limiter=self._limiter)
                if step is None or self.superseded:
                    return
                yield step
        except StoppedError:
            if self.wanted():
                raise  # whoever waits is told
        finally:
            work.close()
