"""The ask page: what stands where, and what happens when somebody asks.

How answers are drawn is in `answers`, how everything looks in `theme` and style.css.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from qa import InputError, QAError
from ui import answers, endpoint, examples, masthead, models_page
from ui.readers import Readers

HERE = Path(__file__).resolve().parent
MOST_ANSWERS = 10
ANSWERS = 3

# Two passages are read at a time; more only makes each of them slower. The rest wait in the queue.
_READING: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "reading"}
# The page's own events are no interface for other programs.
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}

_MASTHEAD = masthead.draw(
    "Ask a text. See the exact words that answer it.", models_page.PATH, "Models"
)


def build(readers: Readers, *, may_fetch: bool = False) -> endpoint.Blocks:
    """Build the page, the first example on it already answered, and the models page behind it, on
    which visitors `may_fetch` models or not."""
    offered = examples.read()
    first = offered[0]
    model_name = readers.default.card.name

    def ask(question: str, passage: str, model: str, top_k: int) -> list[str]:
        """Return the answers, the marked passage and what is wrong with passage and question."""
        try:
            result = readers.get(model).answer(question, passage, top_k)
        except InputError as error:
            sentence = answers.draw_error(str(error))
            wrong = [sentence, ""] if error.field == "passage" else ["", sentence]
            return [answers.NOTHING_ASKED, answers.NOTHING_MARKED, *wrong]
        except QAError as error:
            return [answers.draw_error(str(error)), answers.NOTHING_MARKED, "", ""]
        drawn = [answers.draw_answers(result, passage), answers.draw_passage(result, passage)]
        return [*drawn, "", ""]

    def open_example(index: int, model: str, top_k: int) -> list[Any]:
        """Return an example's passage and questions, the first of them asked."""
        example = offered[index]
        question = example.questions[0]
        return [
            example.passage,
            question,
            gr.Dataset(**_offer(example)),
            *ask(question, example.passage, model, top_k),
        ]

    def ask_offered(sample: list[str], passage: str, model: str, top_k: int) -> list[str]:
        return [sample[0], *ask(sample[0], passage, model, top_k)]

    def offer_models() -> dict[str, Any]:
        """Return the models to choose from: since the app was started there may be others."""
        choices: dict[str, Any] = gr.update(choices=_choices(readers))
        return choices

    arrival = ask(first.questions[0], first.passage, model_name, ANSWERS)

    page = endpoint.Blocks(title="Verbatim", fill_width=True)
    with page:
        gr.HTML(_MASTHEAD, apply_default_css=False)
        with gr.Row(elem_id="vb-desk", equal_height=False):
            with gr.Column(scale=5, min_width=320, elem_id="vb-asking"):
                texts = gr.Dataset(
                    label="Try a text",
                    components=[gr.Textbox(visible=False)],
                    samples=[[example.title] for example in offered],
                    type="index",
                    elem_id="vb-texts",
                )
                passage = gr.Textbox(
                    first.passage,
                    label="Passage",
                    lines=12,
                    max_lines=12,
                    placeholder="Paste the text you want to ask about.",
                    elem_id="vb-passage",
                )
                passage_wrong = gr.HTML("", elem_classes="vb-wrong", apply_default_css=False)
                with gr.Row(elem_id="vb-question-row"):
                    question = gr.Textbox(
                        first.questions[0],
                        label="Question",
                        lines=1,
                        max_lines=1,
                        placeholder="What do you want to know?",
                        html_attributes=gr.InputHTMLAttributes(
                            enterkeyhint="search", autocomplete="off"
                        ),
                        elem_id="vb-question",
                        min_width=0,
                        scale=1,
                    )
                    button = gr.Button(
                        "Ask", variant="primary", elem_id="vb-ask", min_width=88, scale=0
                    )
                question_wrong = gr.HTML("", elem_classes="vb-wrong", apply_default_css=False)
                with gr.Row(elem_id="vb-settings"):
                    model = gr.Dropdown(
                        _choices(readers),
                        value=model_name,
                        label="Model",
                        filterable=False,
                        min_width=0,
                        scale=3,
                    )
                    top_k = gr.Dropdown(
                        list(range(1, MOST_ANSWERS + 1)),
                        value=ANSWERS,
                        label="Number of answers",
                        filterable=False,
                        min_width=0,
                        scale=2,
                    )
                questions = gr.Dataset(
                    label="Ask it",
                    components=[gr.Textbox(visible=False)],
                    **_offer(first),
                    samples_per_page=4,
                    elem_id="vb-questions",
                )
            with gr.Column(scale=7, min_width=320, elem_id="vb-answering"):
                ranked = gr.HTML(
                    arrival[0],
                    html_template="<h2>Answers</h2>${value}",
                    elem_id="vb-ranked",
                    apply_default_css=False,
                )
                marked = gr.HTML(
                    arrival[1],
                    html_template="<h2>In the passage</h2>${value}",
                    js_on_load=(HERE / "script.js").read_text(encoding="utf-8"),
                    elem_id="vb-marked",
                    apply_default_css=False,
                )

        shown = [ranked, marked, passage_wrong, question_wrong]
        gr.on(
            [button.click, question.submit, model.input, top_k.input],
            ask,
            [question, passage, model, top_k],
            shown,
            show_progress_on=[ranked, marked],
            trigger_mode="always_last",
            **_READING,
            **_PRIVATE,
        )
        texts.click(
            open_example,
            [texts, model, top_k],
            [passage, question, questions, *shown],
            show_progress_on=[ranked, marked],
            **_READING,
            **_PRIVATE,
        )
        questions.click(
            ask_offered,
            [questions, passage, model, top_k],
            [question, *shown],
            show_progress_on=[ranked, marked],
            **_READING,
            **_PRIVATE,
        )
        page.load(
            offer_models, None, model, api_visibility="private", show_progress="hidden", queue=False
        )
        gr.events.api(endpoint.answer_with(readers), api_name="answer", **_READING)
    models_page.build(page, readers, may_fetch=may_fetch)
    return page


def _choices(readers: Readers) -> list[tuple[str, str]]:
    """Return the installed models as titles and names."""
    return [(card.title or card.name, card.name) for card in readers.cards()]


def _offer(example: examples.Example) -> dict[str, Any]:
    """Return what a dataset needs to offer an example's questions."""
    return {
        "samples": [[question] for question in example.questions],
        "sample_labels": list(example.questions),
    }
