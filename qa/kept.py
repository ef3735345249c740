"""What was made lately, kept for when it is wanted again: as much of it as memory may hold, then
what has not been wanted for longest gives way.

What is kept, and how it is made, is its user's business.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Costly(Protocol):
    """What takes as much memory as so many tokens of a passage, about 50 bytes each."""

    @property
    def cost(self) -> int: ...


_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value", bound=Costly)

# An entry takes memory whatever is in it: about as much as so many tokens.
ENTRY_TOKENS = 40


class Kept(Generic[_Key, _Value]):
    """Values by key. Safe to share between threads."""

    def __init__(self, most_tokens: int) -> None:
        self._most = most_tokens
        self._tokens = 0
        self._values: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> _Value | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Keep a value, unless it alone takes more than may be kept."""
        with self._lock:
            if key in self._values:
                self._tokens -= _tokens(self._values.pop(key))
            if _tokens(value) > self._most:
                return
            self._values[key] = value
            self._tokens += _tokens(value)
            while self._tokens > self._most:
                self._tokens -= _tokens(self._values.popitem(last=False)[1])


def _tokens(value: Costly) -> int:
    return value.cost + ENTRY_TOKENS
