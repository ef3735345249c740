"""What each visitor asked for last, of something that takes its time: beginning it again, or
stopping it, ends what was begun before at its next step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Latest:
    """The latest work of each visitor. Safe to share between threads."""

    def __init__(self) -> None:
        self._latest: dict[str | None, object] = {}

    @contextmanager
    def begin(self, visitor: str | None) -> Iterator[Callable[[], bool]]:
        """Begin work; ask what is given whether it is still wanted."""
        work = self._latest[visitor] = object()
        try:
            yield lambda: self._latest.get(visitor) is work
        finally:
            if self._latest.get(visitor) is work:
                self.stop(visitor)

    def stop(self, visitor: str | None) -> None:
        self._latest.pop(visitor, None)
