"""Gradio's pages, except for what it does with requests that no page of ours sends."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import gradio as gr
from anyio import CapacityLimiter
from gradio.components.api_component import Api
from gradio_client import utils as client_utils  # type: ignore[import-untyped]

from ui import log
from ui.limits import UNQUEUED_AT_ONCE
from ui.text import carried, sendable


class Blocks(gr.Blocks):
    """Gradio's, except that calls by position, too, may leave out what has a default; that files
    are what somebody sent, never addresses to fetch them from; that no mishap writes what people
    wrote to the log; that every reply can be written as JSON; that only so many events are answered
    at once past the queue, the others in turn; and that a call of a program, which no other
    follows, leaves nothing behind."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._turn = CapacityLimiter(UNQUEUED_AT_ONCE)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *rest: Any, **named: Any
    ) -> list[Any]:
        left_out = [
            block.value for block in block_fn.inputs[len(inputs) :] if isinstance(block, Api)
        ]
        complete = [*inputs, *left_out]
        client_utils.traverse(complete, _check_sent, client_utils.is_file_obj)
        values: list[Any] = await super().preprocess_data(block_fn, complete, *rest, **named)
        return values

    async def process_api(self, block_fn: Any, *rest: Any, **named: Any) -> dict[str, Any]:
        try:
            async with nullcontext() if block_fn.queue else self._turn:
                done: dict[str, Any] = await super().process_api(block_fn, *rest, **named)
        except gr.Error as error:
            error.print_exception = False  # it may quote what was sent
            error.message = carried(error.message)
            raise
        except Exception as error:
            log.mishap(error)
            message = "This request cannot be answered; reload the page or mend the call."
            raise gr.Error(message, print_exception=False) from error
        finally:
            self._forget(named.get("session_hash"), named.get("event_id"))
        done["data"] = sendable(done["data"])
        return done

    def _forget(self, session: str | None, event: str | None) -> None:
        """Drop the session that Gradio makes for a program's call and names like it. It holds the
        settings of every component and all that was sent. And drop what Gradio keeps of calls that
        were told their answers, or whose answers it no longer has."""
        if not session or session != event:
            return
        sessions, queue = self.state_holder, self._queue
        sessions.session_data.pop(session, None)
        sessions.time_last_used.pop(session, None)
        for name, untold in list(queue.pending_event_ids_session.items()):
            told = not untold and name not in sessions.session_data
            if told or name not in queue.pending_messages_per_session:
                del queue.pending_event_ids_session[name]


def _check_sent(file: dict[str, Any]) -> dict[str, Any]:
    """Raise gr.Error where a file is an address."""
    if client_utils.is_http_url_like(file.get("path")):
        raise gr.Error("Nothing is fetched here; send the file itself.", print_exception=False)
    return file
