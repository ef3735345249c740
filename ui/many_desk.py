"""The components of the page of many questions and where they stand. What they do is in `many`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from ui import answer_table, examples, fields
from ui.readers import Readers


@dataclass(frozen=True, slots=True)
class Sample:
    """Questions to try the page with."""

    title: str
    questions: str
    passage: str = ""


def samples() -> tuple[Sample, ...]:
    """Return a list about one passage, and a CSV with passages and answers of its own."""
    first = examples.read()[0]
    table = (examples.FOLDER / "questions.csv").read_text(encoding="utf-8")
    return (
        Sample("A list about one passage", "\n".join(first.questions), first.passage),
        Sample("A CSV with passages and answers", table),
    )


class ManyDesk:
    """They begin empty, with examples offered."""

    def __init__(self, readers: Readers, offered: Sequence[Sample]) -> None:
        with gr.Row(elem_id="vb-desk", equal_height=False):
            with gr.Column(scale=5, min_width=320, elem_id="vb-asking"):
                self._build_asking(readers, offered)
            with gr.Column(scale=7, min_width=320, elem_id="vb-answering"):
                self._build_answering(readers.limits.questions)
        self.shelf = gr.State({})  # the passages that were opened, by file name
        self.rows = gr.State(())  # what can be downloaded

    def _build_asking(self, readers: Readers, offered: Sequence[Sample]) -> None:
        self.texts = fields.texts("Try an example", [sample.title for sample in offered])
        with gr.Column(elem_classes="vb-text"):
            self.questions = gr.Textbox(
                label="Questions",
                lines=9,
                max_lines=9,
                placeholder="One question a line, or a CSV or SQuAD file’s text.",
                elem_id="vb-many",
            )
            self.open_questions = fields.opener("Open a file")
        self.questions_wrong = fields.note()
        with gr.Column(elem_id="vb-text", elem_classes="vb-text"):
            self.passage = gr.Textbox(
                label="Passage",
                lines=9,
                max_lines=9,
                placeholder="What questions without a passage of their own are asked of: paste a "
                "text, or drop a file.",
                elem_id="vb-passage",
            )
            self.open_passages = fields.opener("Open files", multiple=True)
        self.shelved = fields.note()
        self.passage_wrong = fields.note()
        with gr.Row(elem_id="vb-question-row"):
            self.model = fields.model(readers, scale=1)
            self.button = gr.Button(
                "Ask all", variant="primary", elem_id="vb-ask", min_width=108, scale=0
            )
        self.model_wrong = fields.note()

    def _build_answering(self, most: int) -> None:
        self.progress, self.stop = fields.going()
        self.summary = gr.HTML(
            answer_table.draw_invitation(most),
            html_template="<h2>Answers</h2>${value}",
            js_on_load="verbatim.many();",
            elem_id="vb-summary",
            apply_default_css=False,
        )
        self.table = gr.Dataframe(
            show_label=False,
            interactive=False,
            visible=False,
            wrap=True,
            max_height=620,
            show_search="filter",
            buttons=[],
            elem_id="vb-table",
        )
        with gr.Row(elem_id="vb-downloads", visible=False) as self.downloads:
            self.as_csv = gr.Button("Download CSV", size="sm", min_width=0, scale=0)
            self.as_json = gr.Button("Download JSON", size="sm", min_width=0, scale=0)
        self.download = gr.Textbox("", visible="hidden")
