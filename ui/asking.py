"""What is asked on the ask page, and what the model said of it, for the parts of the page that look
closer at its result."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import ref

import gradio as gr
from gradio.events import Dependency

from qa import Reader
from qa.inside import Reading
from qa.kept import Kept


@dataclass(frozen=True, slots=True)
class Asked:
    """What the result that stands was asked of, whatever was typed since; `windows` says how many
    windows it comes from where the reading was stopped."""

    question: str
    passage: str
    model: str
    windows: int | None = None


# What was read lately, by the model as it was loaded and what it was asked: nobody finds another
# visitor's text. A model that was removed is not held on to.
Readings = Kept[tuple[ref[Reader], Asked], Reading]


@dataclass(frozen=True, slots=True)
class Asking:
    """Components of the ask page, and the `readings` that its results come from.

    `asked_of` holds the Asked of the result that stands, None where nothing was found. `chosen`
    holds the rank of the chosen answer, from 1; it changes when another is chosen, and is 1 again
    when a new result arrives. `asked` is the event after which a result stands, whatever was asked
    and however: `asked.success(...)`; after those in `made_way` there may be none.
    """

    question: gr.Textbox
    passage: gr.Textbox
    top_k: gr.Dropdown
    asked_of: gr.State
    chosen: gr.Number
    asked: Dependency
    made_way: tuple[Dependency, ...]
    readings: Readings
