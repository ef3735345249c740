"""Components that several pages have. What they do is the pages' own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from ui.readers import Readers
from ui.uploads import Sent


def model(readers: Readers, label: str = "Model", scale: int | None = None) -> gr.Dropdown:
    """Make the choice of a model, the one that answers first chosen."""
    return gr.Dropdown(
        _choices(readers),
        value=readers.default.card.name,
        label=label,
        filterable=False,
        min_width=0,
        scale=scale,
    )


def offer(readers: Readers, chosen: str | None = None) -> dict[str, Any]:
    """Return what makes a choice of models offer those of now, since there may be others than when
    the app was started; and have this one `chosen`, or the one that is."""
    choice: dict[str, Any] = {} if chosen is None else {"value": chosen}
    update: dict[str, Any] = gr.update(choices=_choices(readers), **choice)
    return update


def _choices(readers: Readers) -> list[tuple[str, str]]:
    """Return the installed models as titles and names."""
    return [(card.title or card.name, card.name) for card in readers.cards()]


def texts(label: str, titles: Sequence[str]) -> gr.Dataset:
    """Make a list of texts to try the page with; clicking one gives its index."""
    return gr.Dataset(
        label=label,
        components=[gr.Textbox(visible=False)],
        samples=[[title] for title in titles],
        type="index",
        elem_id="vb-texts",
    )


def opener(label: str, *, multiple: bool = False) -> gr.UploadButton:
    """Make the button that opens files, to stand in the corner of a text box; what handles its
    events is given `Sent`, or a list of them."""
    button = gr.UploadButton(
        label,
        file_count="multiple" if multiple else "single",
        size="sm",
        elem_classes="vb-file",
        scale=0,
        min_width=0,
    )
    # Gradio's own makes an empty file besides, which nobody removes.
    button._process_single_file = _sent  # type: ignore[assignment, method-assign]
    return button


def _sent(file: FileData) -> Sent:
    path = Path(file.path)
    return Sent(path, file.orig_name or path.name)


def note() -> gr.HTML:
    """Make the place below a field where something is said of it, most often what is wrong."""
    return gr.HTML("", elem_classes="vb-wrong", apply_default_css=False)


def going() -> tuple[gr.HTML, gr.Button]:
    """Make the row that shows how far the reading is, with the button that stops it."""
    with gr.Row(elem_id="vb-going"):
        progress = gr.HTML("", apply_default_css=False)
        stop = gr.Button("Stop", elem_id="vb-stop", visible=False, min_width=0, scale=0)
    return progress, stop
