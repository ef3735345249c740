"""A passage being read for somebody on the page: results as they come, until it is read or they
say stop.

Passages take turns: only so many are read at a moment, each for a fifth of a second before the
next one gets its turn, so that a long text keeps nobody with a short one waiting.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from anyio import CapacityLimiter, to_thread

from qa import Reader, Result

AT_ONCE = 2  # more only makes each of them slower


class Turns:
    """The readings under way. Whoever knows the name of one can stop it: names cannot be
    guessed."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(AT_ONCE)
        self._open: dict[str, Turn] = {}

    @contextmanager
    def begin(self) -> Iterator[Turn]:
        turn = Turn(self._limiter)
        self._open[turn.name] = turn
        try:
            yield turn
        finally:
            del self._open[turn.name]

    def stop(self, name: str) -> None:
        """Stop a reading: what was found so far is wanted. One that has ended is let be."""
        if turn := self._open.get(name):
            turn.stopped = True

    def supersede(self, name: str) -> None:
        """Stop a reading whose result nobody wants any more."""
        if turn := self._open.get(name):
            turn.stopped = turn.superseded = True


class Turn:
    """One passage being read."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self.name = secrets.token_urlsafe(12)
        self.stopped = False
        self.superseded = False
        self._limiter = limiter

    async def results(
        self, reader: Reader, question: str, passage: str, top_k: int
    ) -> AsyncGenerator[Result, None]:
        """Give results so far; the last one is complete, unless the reading was stopped. Closing
        this iterator, as happens when the visitor leaves, ends the work as well.

        Raises InputError where the question cannot be asked.
        """
        stream = await to_thread.run_sync(
            reader.stream, question, passage, top_k, limiter=self._limiter
        )
        try:
            while not self.stopped:
                result = await to_thread.run_sync(next, stream, None, limiter=self._limiter)
                if result is None:
                    return
                yield result
        finally:
            stream.close()
