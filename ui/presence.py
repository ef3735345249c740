"""Whether whoever asked is still there: whoever closes the page or hangs up ends their work."""

from __future__ import annotations

from collections.abc import Callable

from gradio.context import LocalContext


def of_caller() -> Callable[[], bool]:
    """Return a function that says, from any thread, whether whoever made the request that is being
    answered still waits for it. Outside of a request somebody always does."""
    blocks, number = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(number) if blocks and number else None
    return lambda: event is None or event.alive
