"""Gradio's pages, except for what it does with requests that no page of ours sends."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio_client import utils as client_utils  # type: ignore[import-untyped]

from ui import log
from ui.text import carried, sendable


class Blocks(gr.Blocks):
    """Gradio's, except that calls by position, too, may leave out what has a default; that files
    are what somebody sent, never addresses to fetch them from; that no mishap writes what people
    wrote to the log; that every reply can be written as JSON; and that a call of a program, which
    no other follows, leaves no session behind."""

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

    async def process_api(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        try:
            done: dict[str, Any] = await super().process_api(*arguments, **named)
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
        settings of every component and all that was sent."""
        if session and session == event:
            self.state_holder.session_data.pop(session, None)
            self.state_holder.time_last_used.pop(session, None)


def _check_sent(file: dict[str, Any]) -> dict[str, Any]:
    """Raise gr.Error where a file is an address."""
    if client_utils.is_http_url_like(file.get("path")):
        raise gr.Error("Nothing is fetched here; send the file itself.", print_exception=False)
    return file
