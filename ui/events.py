"""How the pages' events and endpoints are called, and what an event gives back."""

from __future__ import annotations

from typing import Any

# Two passages are read at a time; more only makes each of them slower. The rest wait in the queue.
READING: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "reading"}
# The pages' own events are no interface for other programs.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# Those that may have to wait for others show how many are before them.
WAITING: dict[str, Any] = {**PRIVATE, "show_progress": "minimal"}
# Files are opened two at a time, as many as qa.documents reads.
OPENING: dict[str, Any] = {**WAITING, "concurrency_limit": 2, "concurrency_id": "opening"}
# Whatever is being read for others.
AT_ONCE: dict[str, Any] = {**PRIVATE, "queue": False}

# The components that change, and what they become.
Changes = dict[Any, Any]
