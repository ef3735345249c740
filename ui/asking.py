"""What is asked on the ask page, for the parts of the page that look closer at its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency

# Two passages are read at a time; more only makes each of them slower. The rest wait in the queue.
READING: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "reading"}
# The pages' own events are no interface for other programs.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True, slots=True)
class Asking:
    """Components of the ask page.

    `chosen` holds the rank of the chosen answer, from 1; it changes when another is chosen, and is
    1 again when a new result arrives. `asked` is the event after which a result stands, whatever
    was asked and however: `asked.success(...)`.
    """

    question: gr.Textbox
    passage: gr.Textbox
    model: gr.Dropdown
    top_k: gr.Dropdown
    chosen: gr.Number
    asked: Dependency
