"""The page of many questions: a list, a CSV or a SQuAD file, answered while a table fills.

How questions are read is in qa.questionnaire, what becomes of their results in qa.answer_sheet, how
passages take turns in turns.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from qa import InputError, QAError, Reader, answer_sheet, documents, questionnaire
from qa.answer_sheet import Row
from qa.documents import Document
from qa.questionnaire import Item
from ui import answer_table, answers, endpoint, examples, masthead
from ui.asking import PRIVATE, READING
from ui.desk import choices
from ui.readers import Readers
from ui.turns import Turn, Turns

PATH = "questions"
SHOW_EVERY = 0.7  # seconds; the table is sent whole
TOP_K = 3
_AT_ONCE: dict[str, Any] = {**PRIVATE, "queue": False}
_QUESTION_FILES = [".txt", ".csv", ".tsv", ".json"]

# What an event gives back: the components that change, and what they become.
Changes = dict[Any, Any]


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


def build(page: endpoint.Blocks, readers: Readers) -> None:
    """Build it as another page of `page`, with its endpoint."""
    with page.route("Many questions", PATH):
        _ManyPage(page, readers)
        gr.events.api(endpoint.answer_many_with(readers), api_name="answer_many", **READING)


class _ManyPage:
    """Its components, and what its events do to them."""

    def __init__(self, page: endpoint.Blocks, readers: Readers) -> None:
        self._readers = readers
        self._turns = Turns()
        self._samples = samples()
        masthead.build("Ask many questions at once.", PATH)
        with gr.Row(elem_id="vb-desk", equal_height=False):
            with gr.Column(scale=5, min_width=320, elem_id="vb-asking"):
                self._build_asking()
            with gr.Column(scale=7, min_width=320, elem_id="vb-answering"):
                self._build_answering()
        self._turn = gr.Textbox("", visible="hidden")
        self._shelf = gr.State({})
        self._rows = gr.State(())
        self._wire(page)

    def _build_asking(self) -> None:
        self._texts = gr.Dataset(
            label="Try an example",
            components=[gr.Textbox(visible=False)],
            samples=[[sample.title] for sample in self._samples],
            type="index",
            elem_id="vb-texts",
        )
        with gr.Column(elem_classes="vb-text"):
            self._questions = gr.Textbox(
                label="Questions",
                lines=9,
                max_lines=9,
                placeholder="One question a line, or a CSV or SQuAD file’s text.",
                elem_id="vb-many",
            )
            self._open_questions = gr.UploadButton(
                "Open a file",
                size="sm",
                elem_classes="vb-file",
                scale=0,
                min_width=0,
            )
        self._questions_wrong = _note()
        with gr.Column(elem_id="vb-text", elem_classes="vb-text"):
            self._passage = gr.Textbox(
                label="Passage",
                lines=9,
                max_lines=9,
                placeholder="What questions without a passage of their own are asked of: paste a "
                "text, or drop a file.",
                elem_id="vb-passage",
            )
            self._open_passages = gr.UploadButton(
                "Open files",
                file_count="multiple",
                size="sm",
                elem_classes="vb-file",
                scale=0,
                min_width=0,
            )
        self._shelved = _note()
        self._passage_wrong = _note()
        with gr.Row(elem_id="vb-question-row"):
            self._model = gr.Dropdown(
                choices(self._readers),
                value=self._readers.default.card.name,
                label="Model",
                filterable=False,
                min_width=0,
                scale=1,
            )
            self._button = gr.Button(
                "Ask all", variant="primary", elem_id="vb-ask", min_width=108, scale=0
            )
        self._model_wrong = _note()

    def _build_answering(self) -> None:
        with gr.Row(elem_id="vb-going"):
            self._progress = gr.HTML("", apply_default_css=False)
            self._stop = gr.Button("Stop", elem_id="vb-stop", visible=False, min_width=0, scale=0)
        self._summary = gr.HTML(
            answer_table.NOTHING_ASKED,
            html_template="<h2>Answers</h2>${value}",
            js_on_load="verbatim.many();",
            elem_id="vb-summary",
            apply_default_css=False,
        )
        self._table = gr.Dataframe(
            show_label=False,
            interactive=False,
            visible=False,
            wrap=True,
            max_height=620,
            show_search="filter",
            buttons=[],
            elem_id="vb-table",
        )
        with gr.Row(elem_id="vb-downloads", visible=False) as self._downloads:
            self._as_csv = gr.Button("Download CSV", size="sm", min_width=0, scale=0)
            self._as_json = gr.Button("Download JSON", size="sm", min_width=0, scale=0)
        self._download = gr.Textbox("", visible="hidden")

    def _wire(self, page: endpoint.Blocks) -> None:
        asked_of = [self._questions, self._passage, self._shelf, self._model]
        results = [
            *[self._progress, self._stop, self._summary, self._table, self._downloads],
            *[self._questions_wrong, self._passage_wrong, self._model_wrong],
            *[self._turn, self._rows],
        ]
        asking: dict[str, Any] = {"concurrency_limit": None, **PRIVATE}  # they take turns
        self._button.click(self._turns.supersede, self._turn, None, **_AT_ONCE)
        self._button.click(self._ask_all, asked_of, results, **asking)
        self._texts.click(
            self._open_sample,
            [self._texts, self._turn],
            [self._questions, self._passage, *asked_of[2:3], self._shelved],
            **_AT_ONCE,
        ).then(self._ask_all, asked_of, results, **asking)
        self._stop.click(self._turns.stop, self._turn, None, **_AT_ONCE)
        self._open_questions.upload(
            self._read_questions,
            self._open_questions,
            [self._questions, self._questions_wrong],
            **PRIVATE,
        )
        self._open_passages.upload(
            self._read_passages,
            [self._open_passages, self._passage, self._shelf],
            [self._passage, self._shelf, self._shelved, self._passage_wrong],
            **PRIVATE,
        )
        for button, write, name, kind in (
            (self._as_csv, _csv, "answers.csv", "text/csv"),
            (self._as_json, _json, "answers.json", "application/json"),
        ):
            save = f"(text) => verbatim.save('{name}', '{kind}', text)"
            button.click(write, self._rows, self._download, **_AT_ONCE).success(
                None, self._download, None, js=save, **PRIVATE
            )
        page.load(lambda: gr.update(choices=choices(self._readers)), None, self._model, **_AT_ONCE)

    async def _ask_all(
        self, questions: str, passage: str, shelf: dict[str, Document], model: str
    ) -> AsyncIterator[Changes]:
        """Answer one question after the other; show what is done while it is done."""
        try:
            document = _document(passage, shelf)
            items = await to_thread.run_sync(questionnaire.read, questions, document, shelf)
        except QAError as error:
            yield self._settled() | {self._questions_wrong: answers.draw_error(str(error))}
            return
        if all(not item.passage.text.strip() and not item.wrong for item in items):
            sentence = "There is no passage to ask; paste a text or open a file."
            yield self._settled() | {self._passage_wrong: answers.draw_error(sentence)}
            return
        try:
            reader = await to_thread.run_sync(self._readers.get, model)
        except QAError as error:
            yield self._settled() | {self._model_wrong: answers.draw_error(str(error))}
            return
        rows: list[Row] = []
        begun = shown = time.monotonic()
        with self._turns.begin() as turn:
            yield (
                self._settled()
                | self._show([], len(items))
                | {
                    self._turn: turn.name,
                    self._stop: gr.update(visible=True),
                    self._summary: answer_table.draw_reading(len(items)),
                    self._downloads: gr.update(visible=False),
                }
            )
            async with aclosing(_answer(turn, reader, items)) as answered:
                async for row in answered:
                    rows.append(row)
                    if time.monotonic() >= shown + SHOW_EVERY:
                        shown = time.monotonic()
                        yield self._show(rows, len(items))
        if turn.superseded:
            return
        seconds = time.monotonic() - begun
        yield self._settled() | {
            self._table: answer_table.update(rows),
            self._summary: answer_table.draw_summary(rows, len(items), seconds),
            self._downloads: gr.update(visible=bool(rows)),
            self._rows: tuple(rows),
        }

    def _show(self, rows: Sequence[Row], asked: int) -> Changes:
        return {
            self._progress: answer_table.draw_progress(len(rows), asked),
            self._table: answer_table.update(rows),
        }

    def _settled(self) -> Changes:
        """Nothing is being read, and nothing was wrong."""
        return {
            self._turn: "",
            self._progress: "",
            self._stop: gr.update(visible=False),
            self._questions_wrong: "",
            self._passage_wrong: "",
            self._model_wrong: "",
        }

    def _open_sample(self, index: int, turn: str) -> Changes:
        self._turns.supersede(turn)
        sample = self._samples[index]
        return {
            self._questions: sample.questions,
            self._passage: sample.passage,
            self._shelf: {},
            self._shelved: "",
        }

    def _read_questions(self, file: str) -> Changes:
        """Put a file of questions into their box. The copy that was sent is not kept."""
        try:
            text = _text_of(Path(file))
        except QAError as error:
            return {self._questions_wrong: answers.draw_error(str(error))}
        finally:
            Path(file).unlink(missing_ok=True)
        return {self._questions: answers.carried(text), self._questions_wrong: ""}

    def _read_passages(self, files: list[str], passage: str, shelf: dict[str, Document]) -> Changes:
        """Keep the passages by name; one that comes alone goes into the box, too."""
        limits = documents.Limits(characters=self._readers.max_characters)
        wrong = ""
        shelf = dict(shelf)
        for file in map(Path, files):
            try:
                document = documents.read(file, limits)
                shelf[file.name] = Document(answers.carried(document.text), document.pages)
            except QAError as error:
                wrong = answers.draw_error(str(error))
            finally:
                file.unlink(missing_ok=True)
        changes: Changes = {
            self._shelf: shelf,
            self._shelved: answer_table.draw_shelf(shelf),
            self._passage_wrong: wrong,
        }
        if len(files) == 1 and not wrong:
            changes[self._passage] = shelf[Path(files[0]).name].text
        return changes


async def _answer(turn: Turn, reader: Reader, items: Sequence[Item]) -> AsyncGenerator[Row, None]:
    """Answer items in turn until all are or the visitor says stop; what is half read is left."""
    none = answer_sheet.may_be_none(items)
    for item in items:
        result = None
        try:
            item.check()
            results = turn.results(reader, item.question, item.passage.text, TOP_K)
            async with aclosing(results):
                async for so_far in results:
                    result = so_far
        except QAError as error:
            yield Row(item, error=str(error), may_be_none=none)
            continue
        if result is None or not result.complete:
            return
        yield Row(item, result, may_be_none=none)


def _document(passage: str, shelf: dict[str, Document]) -> Document:
    """Return the passage in its box, with its pages where it is a file's text unchanged."""
    whole = (document for document in shelf.values() if document.text == passage)
    return next(whole, Document(passage))


def _text_of(file: Path) -> str:
    """Return the text of a file of questions."""
    if file.suffix.lower() not in _QUESTION_FILES:
        raise InputError(
            f"{file.name} holds no questions that can be read; open a list (.txt), CSV or JSON."
        )
    limits = documents.Limits(bytes=4 * questionnaire.MOST_TEXT, characters=questionnaire.MOST_TEXT)
    return documents.read(file, limits).text


def _csv(rows: Sequence[Row]) -> str:
    return "\ufeff" + answers.carried(answer_sheet.to_csv(rows))  # the mark tells Excel: UTF-8


def _json(rows: Sequence[Row]) -> str:
    return json.dumps(answer_sheet.to_dict(rows), indent=1)


def _note() -> gr.HTML:
    """Make the place below a field where something is said of it, most often what is wrong."""
    return gr.HTML("", elem_classes="vb-wrong", apply_default_css=False)
