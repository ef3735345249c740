"""The page of many questions: a list, a CSV or a SQuAD file, answered while a table fills.

How questions are read is in qa.questionnaire, what becomes of their results in qa.answer_sheet, how
passages take turns in turns.py, what stands where in many_desk.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from qa import InputError, QAError, Reader, answer_sheet, documents, questionnaire
from qa.answer_sheet import Row
from qa.documents import Document
from qa.questionnaire import Item
from ui import answer_table, answers, endpoint, fields, log, masthead
from ui.blocks import Blocks
from ui.events import AT_ONCE, PRIVATE, READING, Changes
from ui.many_desk import ManyDesk, samples
from ui.readers import Readers
from ui.turns import Turn, Turns

PATH = "questions"
SHOW_EVERY = 0.7  # seconds; the table is sent whole
TOP_K = 3
_QUESTION_FILES = [".txt", ".csv", ".tsv", ".json"]


def build(page: Blocks, readers: Readers) -> None:
    """Build it as another page of `page`, with its endpoint."""
    with page.route("Many questions", PATH):
        _ManyPage(page, readers)
        gr.events.api(endpoint.answer_many_with(readers), api_name="answer_many", **READING)


class _ManyPage:
    """Its components, and what its events do to them."""

    def __init__(self, page: Blocks, readers: Readers) -> None:
        self._readers = readers
        self._turns = Turns()
        self._samples = samples()
        masthead.build("Ask many questions at once.", PATH)
        self._desk = ManyDesk(readers, self._samples)
        self._wire(page)

    def _wire(self, page: Blocks) -> None:
        desk = self._desk
        asked_of = [desk.questions, desk.passage, desk.shelf, desk.model]
        results = [
            *[desk.progress, desk.stop, desk.summary, desk.table, desk.downloads],
            *[desk.questions_wrong, desk.passage_wrong, desk.model_wrong],
            *[desk.turn, desk.rows],
        ]
        asking: dict[str, Any] = {"concurrency_limit": None, **PRIVATE}  # they take turns
        desk.button.click(self._turns.supersede, desk.turn, None, **AT_ONCE)
        desk.button.click(self._ask_all, asked_of, results, **asking)
        desk.texts.click(
            self._open_sample,
            [desk.texts, desk.turn],
            [desk.questions, desk.passage, desk.shelf, desk.shelved],
            **AT_ONCE,
        ).then(self._ask_all, asked_of, results, **asking)
        desk.stop.click(self._turns.stop, desk.turn, None, **AT_ONCE)
        desk.open_questions.upload(
            self._read_questions,
            desk.open_questions,
            [desk.questions, desk.questions_wrong],
            **PRIVATE,
        )
        desk.open_passages.upload(
            self._read_passages,
            [desk.open_passages, desk.passage, desk.shelf],
            [desk.passage, desk.shelf, desk.shelved, desk.passage_wrong],
            **PRIVATE,
        )
        for button, write, name, kind in (
            (desk.as_csv, _csv, "answers.csv", "text/csv"),
            (desk.as_json, _json, "answers.json", "application/json"),
        ):
            save = f"(text) => verbatim.save('{name}', '{kind}', text)"
            button.click(write, desk.rows, desk.download, **AT_ONCE).success(
                None, desk.download, None, js=save, **PRIVATE
            )
        page.load(lambda: fields.offer(self._readers), None, desk.model, **AT_ONCE)

    async def _ask_all(
        self, questions: str, passage: str, shelf: dict[str, Document], model: str
    ) -> AsyncIterator[Changes]:
        """Answer one question after the other; show what is done while it is done."""
        try:
            document = _document(passage, shelf)
            most = self._readers.limits.questions
            items = await to_thread.run_sync(questionnaire.read, questions, document, shelf, most)
        except QAError as error:
            yield self._settled() | {self._desk.questions_wrong: answers.draw_error(str(error))}
            return
        if all(not item.passage.text.strip() and not item.wrong for item in items):
            sentence = "There is no passage to ask; paste a text or open a file."
            yield self._settled() | {self._desk.passage_wrong: answers.draw_error(sentence)}
            return
        try:
            reader = await to_thread.run_sync(self._readers.get, model)
        except QAError as error:
            yield self._settled() | {self._desk.model_wrong: answers.draw_error(str(error))}
            return
        rows: list[Row] = []
        begun = shown = time.monotonic()
        with log.entry("questions page") as entry, self._turns.begin() as turn:
            yield (
                self._settled()
                | self._show([], len(items))
                | {
                    self._desk.turn: turn.name,
                    self._desk.stop: gr.update(visible=True),
                    self._desk.summary: answer_table.draw_reading(len(items)),
                    self._desk.downloads: gr.update(visible=False),
                }
            )
            async with aclosing(_answer(turn, reader, items)) as answered:
                async for row in answered:
                    rows.append(row)
                    if row.result:
                        entry.read(row.result)
                    if time.monotonic() >= shown + SHOW_EVERY:
                        shown = time.monotonic()
                        yield self._show(rows, len(items))
            entry.outcome = "answered" if len(rows) == len(items) else "stopped"
        if turn.superseded:
            return
        seconds = time.monotonic() - begun
        yield self._settled() | {
            self._desk.table: answer_table.update(rows),
            self._desk.summary: answer_table.draw_summary(rows, len(items), seconds),
            self._desk.downloads: gr.update(visible=bool(rows)),
            self._desk.rows: tuple(rows),
        }

    def _show(self, rows: Sequence[Row], asked: int) -> Changes:
        return {
            self._desk.progress: answer_table.draw_progress(len(rows), asked),
            self._desk.table: answer_table.update(rows),
        }

    def _settled(self) -> Changes:
        """Nothing is being read, and nothing was wrong."""
        return {
            self._desk.turn: "",
            self._desk.progress: "",
            self._desk.stop: gr.update(visible=False),
            self._desk.questions_wrong: "",
            self._desk.passage_wrong: "",
            self._desk.model_wrong: "",
        }

    def _open_sample(self, index: int, turn: str) -> Changes:
        self._turns.supersede(turn)
        sample = self._samples[index]
        return {
            self._desk.questions: sample.questions,
            self._desk.passage: sample.passage,
            self._desk.shelf: {},
            self._desk.shelved: "",
        }

    def _read_questions(self, file: str) -> Changes:
        """Put a file of questions into their box. The copy that was sent is not kept."""
        try:
            text = _text_of(Path(file))
        except QAError as error:
            return {self._desk.questions_wrong: answers.draw_error(str(error))}
        finally:
            Path(file).unlink(missing_ok=True)
        return {self._desk.questions: answers.carried(text), self._desk.questions_wrong: ""}

    def _read_passages(self, files: list[str], passage: str, shelf: dict[str, Document]) -> Changes:
        """Keep the passages by name; one that comes alone goes into the box, too."""
        wrong = ""
        shelf = dict(shelf)
        for file in map(Path, files):
            try:
                document = documents.read(file, self._readers.files)
                shelf[file.name] = Document(answers.carried(document.text), document.pages)
            except QAError as error:
                wrong = answers.draw_error(str(error))
            finally:
                file.unlink(missing_ok=True)
        changes: Changes = {
            self._desk.shelf: shelf,
            self._desk.shelved: answer_table.draw_shelf(shelf),
            self._desk.passage_wrong: wrong,
        }
        if len(files) == 1 and not wrong:
            changes[self._desk.passage] = shelf[Path(files[0]).name].text
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
