"""The page of many questions: a list, a CSV or a SQuAD file, answered while a table fills.

How questions are read is in qa.questionnaire, what becomes of their results in qa.answer_sheet, how
passages take turns in turns.py, what stands where in many_desk.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from qa import InputError, QAError, Reader, answer_sheet, documents, questionnaire
from qa.answer_sheet import Row
from qa.documents import Document
from qa.questionnaire import Item
from ui import answer_table, answers, endpoint, fields, log, masthead, presence, progress, uploads
from ui.blocks import Blocks
from ui.events import AT_ONCE, OPENING, PRIVATE, Changes, reading
from ui.limits import MOST_FILES, MOST_PASSAGES
from ui.many_desk import ManyDesk, samples
from ui.readers import Readers
from ui.text import carried, counted
from ui.turns import Turns
from ui.uploads import Sent

PATH = "questions"
PAUSE = 0.2  # seconds that one question is worked on before others have their turn
SHOW_EVERY = 0.7  # seconds; the table is sent whole
TOP_K = 3
# Seconds that one visitor's files are opened before others have their turn: two that are as slow as
# a file may be.
OPENING_SECONDS = 2 * documents.SECONDS
_QUESTION_FILES = [".txt", ".csv", ".tsv", ".json"]


def build(page: Blocks, readers: Readers) -> None:
    """Build it as another page of `page`, with its endpoint."""
    with page.route("Many questions", PATH):
        _ManyPage(page, readers)
        gr.events.api(
            endpoint.answer_many_with(readers), api_name="answer_many", **reading(readers.limits)
        )


class _ManyPage:
    """Its components, and what its events do to them."""

    def __init__(self, page: Blocks, readers: Readers) -> None:
        self._readers = readers
        self._turns = Turns(readers.turn)
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
            desk.rows,
        ]
        # They take turns by themselves; whoever asks anew need not wait for what they asked before.
        asking: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **PRIVATE}
        desk.button.click(self._ask_all, asked_of, results, **asking)
        desk.texts.click(
            self._open_sample,
            desk.texts,
            [desk.questions, desk.passage, desk.shelf, desk.shelved],
            trigger_mode="always_last",
            **AT_ONCE,
        ).then(self._ask_all, asked_of, results, **asking)
        desk.stop.click(self._stop, None, None, **AT_ONCE)
        desk.open_questions.upload(
            self._read_questions,
            desk.open_questions,
            [desk.questions, desk.questions_wrong],
            show_progress_on=desk.questions,
            **OPENING,
        )
        desk.open_passages.upload(
            self._read_passages,
            [desk.open_passages, desk.shelf],
            [desk.passage, desk.shelf, desk.shelved, desk.passage_wrong],
            show_progress_on=desk.passage,
            **OPENING,
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
        self,
        questions: str,
        passage: str,
        shelf: dict[str, Document],
        model: str,
        request: gr.Request,
    ) -> AsyncIterator[Changes]:
        """Answer one question after the other; show what is done while it is done."""
        rows: list[Row] = []
        items: list[Item] = []
        settled = self._settled()
        try:
            with log.entry("questions page") as entry:
                reader, items = await to_thread.run_sync(
                    self._read, questions, passage, shelf, model
                )
                with self._turns.begin(request.session_hash) as turn:
                    yield self._begin(len(items))
                    begun = shown = time.monotonic()
                    answered = turn.steps(
                        reader, lambda mine: answer_sheet.ask(mine, items, TOP_K, pause=PAUSE)
                    )
                    async with aclosing(answered):
                        async for row in answered:
                            if not row.finished:
                                continue
                            rows.append(row)
                            if row.result:
                                entry.read(row.result)
                            if time.monotonic() >= shown + SHOW_EVERY:
                                shown = time.monotonic()
                                yield await to_thread.run_sync(self._show, tuple(rows), len(items))
                entry.outcome = "answered" if len(rows) == len(items) else "stopped"
        except QAError as error:
            wrong = self._refuse(error, asking=bool(items))
            if not items:  # what was being answered goes on
                yield self._nothing_wrong() | wrong
                return
            settled |= wrong
        if turn.superseded:
            yield {self._desk.progress: gr.skip()}  # where nothing is given, Gradio shows nothing
        else:
            seconds = time.monotonic() - begun
            yield settled | await to_thread.run_sync(
                self._show_all, tuple(rows), len(items), seconds
            )

    def _read(
        self, questions: str, passage: str, shelf: dict[str, Document], model: str
    ) -> tuple[Reader, list[Item]]:
        """Return whom to ask and what. Raises QAError."""
        most = self._readers.limits.questions
        items = questionnaire.read(questions, _document(passage, shelf), shelf, most)
        if all(not item.passage.text.strip() and not item.wrong for item in items):
            raise InputError("There is no passage to ask; paste a text or open a file.", "passage")
        return self._readers.get(model), items

    def _begin(self, asked: int) -> Changes:
        return (
            self._nothing_wrong()
            | self._show([], asked)
            | {
                self._desk.stop: gr.update(visible=True),
                self._desk.summary: answer_table.draw_reading(asked),
                self._desk.downloads: gr.update(visible=False),
            }
        )

    def _stop(self, request: gr.Request) -> None:
        self._turns.stop(request.session_hash)

    def _refuse(self, error: QAError, *, asking: bool) -> Changes:
        """Say what is wrong beside the field it concerns: once all can be asked, the questions."""
        beside = {"passage": self._desk.passage_wrong, "model": self._desk.model_wrong}
        field = error.field if isinstance(error, InputError) else "" if asking else "model"
        wrong = beside.get(field or "", self._desk.questions_wrong)
        return {wrong: answers.draw_error(str(error))}

    def _show(self, rows: Sequence[Row], asked: int) -> Changes:
        return {
            self._desk.progress: progress.draw_bar(
                "Answered", len(rows), asked, f"{len(rows):,} of {asked:,}"
            ),
            self._desk.table: answer_table.update(rows),
        }

    def _show_all(self, rows: tuple[Row, ...], asked: int, seconds: float) -> Changes:
        return {
            self._desk.table: answer_table.update(rows),
            self._desk.summary: answer_table.draw_summary(rows, asked, seconds),
            self._desk.downloads: gr.update(visible=bool(rows)),
            self._desk.rows: rows,
        }

    def _settled(self) -> Changes:
        """Nothing is being read. What has been refused meanwhile is still said."""
        return {self._desk.progress: "", self._desk.stop: gr.update(visible=False)}

    def _nothing_wrong(self) -> Changes:
        return {
            self._desk.questions_wrong: "",
            self._desk.passage_wrong: "",
            self._desk.model_wrong: "",
        }

    def _open_sample(self, index: int) -> Changes:
        sample = self._samples[index]
        return {
            self._desk.questions: sample.questions,
            self._desk.passage: sample.passage,
            self._desk.shelf: {},
            self._desk.shelved: "",
        }

    def _read_questions(self, file: Sent) -> Changes:
        """Put a file of questions into their box. The copy that was sent is not kept."""
        try:
            text = _text_of(file.path)
        except QAError as error:
            return {self._desk.questions_wrong: answers.draw_error(str(error))}
        finally:
            uploads.remove(file.path)
        return {self._desk.questions: text, self._desk.questions_wrong: ""}

    def _read_passages(self, sent: list[Sent], shelf: dict[str, Document]) -> Changes:
        """Keep the passages by name; one that comes alone goes into the box, too."""
        seconds = min(OPENING_SECONDS, self._readers.limits.seconds)
        try:
            shelf, wrong = shelve(sent, shelf, self._readers.files, seconds, presence.of_caller())
        finally:
            for file in sent:
                uploads.remove(file.path)
        changes: Changes = {
            self._desk.shelf: shelf,
            self._desk.shelved: answer_table.draw_shelf(shelf),
            self._desk.passage_wrong: "".join(map(answers.draw_error, wrong)),
        }
        if len(sent) == 1 and not wrong and sent[0].name in shelf:
            changes[self._desk.passage] = shelf[sent[0].name].text
        return changes


def shelve(
    files: Sequence[Sent],
    shelf: dict[str, Document],
    limits: documents.Limits,
    seconds: float,
    there: Callable[[], bool],
) -> tuple[dict[str, Document], list[str]]:
    """Open files until the time is over, all that may be open is, or the visitor is not `there`.

    Returns the shelf with their passages by name, and sentences on what could not be opened or was
    left out.
    """
    shelf, wrong = dict(shelf), list[str]()
    most = MOST_PASSAGES * limits.characters
    ends = time.monotonic() + seconds
    for number, file in enumerate(files):
        if not there():
            break
        if time.monotonic() >= ends:
            too_much = f"Opening takes longer than {seconds:,} seconds, the limit here; open again"
            wrong.append(f"{too_much} {_left_out(files[number:])}")
            break
        try:
            document = documents.read(file.path, limits)
        except QAError as error:
            wrong.append(str(error))
            continue
        others = [open_already for name, open_already in shelf.items() if name != file.name]
        characters = sum(len(other.text) for other in others) + len(document.text)
        if len(others) >= MOST_FILES or characters > most:
            too_much = (
                f"Up to {MOST_FILES:,} files with {most:,} characters together may be open here; "
                "to make room, reload the page, then open"
            )
            wrong.append(f"{too_much} {_left_out(files[number:])}")
            break
        shelf[file.name] = Document(carried(document.text), document.pages)
    return shelf, wrong


def _left_out(files: Sequence[Sent]) -> str:
    return f"what was left out: {counted(len(files), 'file')}, from {files[0].name} on."


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
    return "\ufeff" + carried(answer_sheet.to_csv(rows))  # the mark tells Excel: UTF-8


def _json(rows: Sequence[Row]) -> str:
    return json.dumps(answer_sheet.to_dict(rows), indent=1)
