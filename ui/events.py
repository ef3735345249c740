"""How the pages' events and endpoints are called, and what an event gives back."""

from __future__ import annotations

from typing import Any

from ui.limits import Limits

# The pages' own events are no interface for other programs.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# Those that may have to wait for others show how many are before them.
WAITING: dict[str, Any] = {**PRIVATE, "show_progress": "minimal"}
# Files are opened two at a time, as many as qa.documents reads. Those that were chosen together are
# opened together; of what a visitor chooses while that goes on, the last choice counts.
OPENING: dict[str, Any] = {
    **WAITING,
    "concurrency_limit": 2,
    "concurrency_id": "opening",
    "trigger_mode": "always_last",
}
# Whatever is being read for others.
AT_ONCE: dict[str, Any] = {**PRIVATE, "queue": False}

# The components that change, and what they become.
Changes = dict[Any, Any]


def reading(limits: Limits) -> dict[str, Any]:
    """Of those that read a passage whole before others get a turn; who comes on top of as many as
    may waits in the queue."""
    return {"concurrency_limit": limits.reading, "concurrency_id": "reading"}
