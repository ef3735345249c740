"""What was made lately, kept for when it is wanted again: so many tokens of it, then what has not
been wanted for longest gives way.

What is kept, and how it is made, is its user's business.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sized
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value", bound=Sized)

# An entry takes memory whatever its length: about as much as so many tokens.
ENTRY_TOKENS = 40


class Kept(Generic[_Key, _Value]):
    """Values by key. The length of each says how many tokens it has. Safe to share between
    threads."""

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
        """Keep a value, unless it alone has more tokens than may be kept."""
        with self._lock:
            if key in self._values:
                self._tokens -= _tokens(self._values.pop(key))
            if _tokens(value) > self._most:
                return
            self._values[key] = value
            self._tokens += _tokens(value)
            while self._tokens > self._most:
                self._tokens -= _tokens(self._values.popitem(last=False)[1])


def _tokens(value: Sized) -> int:
    return len(value) + ENTRY_TOKENS
