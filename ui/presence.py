"""Whether whoever asked is still there: whoever closes the page or hangs up ends their work, and
whoever never listens for its result has it worked on for a minute."""

from __future__ import annotations

import time
from collections.abc import Callable

from gradio.context import LocalContext

UNHEARD = 60  # seconds; programs ask first and listen then


def of_caller() -> Callable[[], bool]:
    """Return a function that says, from any thread, whether whoever made the request that is being
    answered still waits for it. Outside of a request somebody always does."""
    blocks, number = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(number) if blocks and number else None
    if blocks is None or event is None:
        return lambda: True
    # Gradio's word that the work begins is among them until somebody listens.
    messages = blocks._queue.pending_messages_per_session.get(event.session_hash)
    begun, heard = time.monotonic(), False

    def there() -> bool:
        nonlocal heard
        heard = heard or messages is None or messages.empty()
        return event.alive and (heard or time.monotonic() < begun + UNHEARD)

    return there
