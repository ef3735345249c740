"""What people wrote, and figures, as HTML and JSON can carry them."""

from __future__ import annotations

import html
from typing import Any

import regex

# What JSON and HTML cannot carry; one replacement character each keeps all others in their places.
_UNCARRIED = regex.compile(r"[\x00\ud800-\udfff]")


def carried(text: str) -> str:
    """Replace what JSON and HTML cannot carry, character for character."""
    return _UNCARRIED.sub("\ufffd", text)


def sendable(value: Any) -> Any:
    """Replace what JSON cannot carry in a value of any depth: texts may hold lone surrogates, and
    numbers may be larger than the writer of replies takes."""
    match value:
        case str():
            return carried(value)
        case dict():
            return {sendable(name): sendable(each) for name, each in value.items()}
        case list() | tuple():
            return [sendable(each) for each in value]
        case int() if not -(2**63) <= value < 2**63:
            return str(value)
    return value


def escaped(text: str) -> str:
    """Write a text so that HTML shows it as it is."""
    return html.escape(carried(text))


def percent(share: float) -> str:
    """Write a probability so that only an impossible outcome is 0%."""
    return "&lt;0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def duration(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def counted(number: int, noun: str) -> str:
    """Write how many there are of what the noun, in the singular, names."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"
