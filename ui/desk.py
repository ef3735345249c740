"""The components of the ask page and where they stand. What they do is in `ask`."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from ui import answers, examples, export, fields, link, masthead, progress
from ui.answers import NO_PAGES
from ui.asking import Asked
from ui.history import History
from ui.readers import Readers

MOST_ANSWERS = 10
ANSWERS = 3
MOST_CHIPS = 100  # more than there are: all on one page


class Desk:
    """They begin with an example and its first question answered."""

    def __init__(self, readers: Readers, offered: Sequence[examples.Example]) -> None:
        first = offered[0]
        masthead.build("Ask a text. See the exact words that answer it.", "./")
        with gr.Row(elem_id="vb-desk", equal_height=False):
            with gr.Column(scale=5, min_width=320, elem_id="vb-asking"):
                self._build_texts(readers, offered)
                self._build_question(readers, first)
            with gr.Column(scale=7, min_width=320, elem_id="vb-answering"):
                self._build_answering(readers, first)
        self.chosen = gr.Number(1, precision=0, visible="hidden")
        # Goes up where something else than Ask or Enter asks: an example, a link, another model.
        self.asks = gr.Number(0, precision=0, visible="hidden")
        self.fragment = gr.Textbox("", visible="hidden")  # what stands after "#" in the address
        self.document = gr.State(NO_PAGES)
        self.asked_of = gr.State(
            Asked(first.questions[0], first.passage, readers.default.card.name)
        )
        self.history = gr.State(History().with_question(first.questions[0], first.passage))

    def _build_texts(self, readers: Readers, offered: Sequence[examples.Example]) -> None:
        first = offered[0].passage
        self.texts = fields.texts("Try a text", [example.title for example in offered])
        with gr.Column(elem_id="vb-text", elem_classes="vb-text"):
            self.passage = gr.Textbox(
                first,
                label="Passage",
                lines=12,
                max_lines=12,
                placeholder="Paste the text you want to ask about, or drop a file here: "
                "text, Markdown, HTML, PDF or DOCX.",
                elem_id="vb-passage",
            )
            self.file = fields.opener("Open a file")
            self.count = gr.HTML(
                progress.draw_count(len(first), len(readers.default.windower.passage(first))),
                js_on_load="verbatim.count(element, trigger);",
                elem_id="vb-count",
                apply_default_css=False,
            )
        self.passage_wrong = fields.note()
        self.file_wrong = (
            fields.note()
        )  # apart: what is said of a text takes back nothing of a file

    def _build_question(self, readers: Readers, first: examples.Example) -> None:
        with gr.Row(elem_id="vb-question-row"):
            self.question = gr.Textbox(
                first.questions[0],
                label="Question",
                lines=1,
                max_lines=1,
                placeholder="What do you want to know?",
                html_attributes=gr.InputHTMLAttributes(enterkeyhint="search", autocomplete="off"),
                elem_id="vb-question",
                min_width=0,
                scale=1,
            )
            self.button = gr.Button(
                "Ask", variant="primary", elem_id="vb-ask", min_width=88, scale=0
            )
        self.question_wrong = fields.note()
        with gr.Row(elem_id="vb-settings"):
            self.model = fields.model(readers, scale=3)
            self.top_k = gr.Dropdown(
                list(range(1, MOST_ANSWERS + 1)),
                value=ANSWERS,
                label="Number of answers",
                filterable=False,
                min_width=0,
                scale=2,
            )
        self.settings_wrong = fields.note()
        self.offered = _chips("Ask it", first.questions, "vb-questions")
        self.asked_before = _chips("Asked before", first.questions[:1], "vb-history")

    def _build_answering(self, readers: Readers, first: examples.Example) -> None:
        question = first.questions[0]
        result = readers.default.answer(question, first.passage, ANSWERS)
        self.progress, self.stop = fields.going()
        self.ranked = gr.HTML(
            answers.draw_answers(
                result,
                first.passage,
                taken_along=export.formats(result, question, first.passage, NO_PAGES),
                link=link.write(question, result.model, ANSWERS),
            ),
            html_template="<h2>Answers</h2>${value}",
            js_on_load="verbatim.answers(element, trigger, watch);",
            elem_id="vb-ranked",
            apply_default_css=False,
        )
        with (
            gr.Tabs(elem_id="vb-closer", overflow_behavior="wrap") as self.closer,
            gr.Tab("In the passage"),
        ):
            self.marked = gr.HTML(
                answers.draw_passage(result, first.passage),
                js_on_load="verbatim.marks(element, watch);",
                elem_id="vb-marked",
                apply_default_css=False,
            )


def _chips(label: str, questions: Sequence[str], elem_id: str) -> gr.Dataset:
    """Make a list of questions that can be clicked."""
    return gr.Dataset(
        label=label,
        components=[gr.Textbox(visible=False)],
        samples=[[question] for question in questions],
        sample_labels=list(questions),
        samples_per_page=MOST_CHIPS,
        elem_id=elem_id,
    )
