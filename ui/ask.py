"""The ask page: what stands where, and what happens when somebody asks.

How answers are drawn is in `answers`, how everything looks in `theme` and style.css, what happens
in the browser alone in script.js.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any
from weakref import ref

import gradio as gr
from anyio import to_thread

from qa import InputError, QAError, Result, documents
from qa.documents import Document
from qa.inside import Reading
from qa.kept import Kept
from qa.spans import WindowLogits
from ui import (
    answers,
    compare,
    endpoint,
    examples,
    export,
    fields,
    inside,
    link,
    log,
    progress,
    uploads,
)
from ui.answers import NO_PAGES
from ui.asking import Asked, Asking, Readings
from ui.blocks import Blocks
from ui.desk import MOST_ANSWERS, Desk
from ui.events import AT_ONCE, OPENING, PRIVATE, WAITING, Changes, reading
from ui.history import History
from ui.readers import Readers
from ui.text import carried
from ui.turns import Turns
from ui.uploads import Sent

# Of what was read lately: about 50 MB of passages and logits, all visitors together.
KEPT_TOKENS = 1_000_000

# What stands in a tab beside the marked passage.
_TABS: dict[str, Callable[[Readers, Asking, gr.Tab], None]] = {
    "Look inside": inside.build,
    "Compare": compare.build,
}


def build(page: Blocks, readers: Readers) -> None:
    """Build it as the first page of `page`, the first example on it already answered."""
    _AskPage(page, readers)
    gr.events.api(endpoint.answer_with(readers), api_name="answer", **reading(readers.limits))


class _AskPage:
    """Its components, and what its events do to them."""

    def __init__(self, page: Blocks, readers: Readers) -> None:
        self._readers = readers
        self._turns = Turns(readers.turn)
        self._readings: Readings = Kept(KEPT_TOKENS)
        self._examples = examples.read()
        self._desk = Desk(readers, self._examples)
        asking = self._wire(page)
        with self._desk.closer:
            for title, build_tab in _TABS.items():
                with gr.Tab(title) as tab:
                    build_tab(readers, asking, tab)

    def _wire(self, page: Blocks) -> Asking:
        desk = self._desk
        triggers = [
            desk.button.click,
            desk.question.submit,
            desk.asks.change,
        ]
        asked_of = [desk.question, desk.passage, desk.model, desk.top_k]
        asked = gr.on(
            triggers,
            self._ask,
            [*asked_of, desk.document, desk.history],
            [
                *[desk.ranked, desk.marked, desk.chosen, desk.asked_of],
                *[desk.progress, desk.stop],
                *[desk.passage_wrong, desk.file_wrong, desk.question_wrong, desk.settings_wrong],
                *[desk.history, desk.asked_before],
            ],
            show_progress_on=[desk.ranked, desk.marked],
            trigger_mode="multiple",  # whoever asks anew need not wait for what they asked before
            concurrency_limit=None,  # they take turns by themselves
            **WAITING,
        )
        settings = [desk.model, desk.top_k]
        for field in settings:
            field.focus(None, settings, None, js="verbatim.enter", **PRIVATE)
            field.input(
                None,
                [desk.asks, *settings],
                desk.asks,
                js="verbatim.asks",
                **PRIVATE,
            )
        desk.stop.click(self._stop, None, None, **AT_ONCE)
        desk.ranked.select(None, None, desk.chosen, js="() => verbatim.chosen", **PRIVATE)
        about_passage = [desk.count, desk.passage_wrong, desk.offered, desk.asked_before]
        desk.texts.click(
            self._open_example,
            [desk.texts, desk.model, desk.history, desk.asks],
            [desk.passage, desk.question, desk.asks, *about_passage],
            trigger_mode="always_last",
            **AT_ONCE,
        )
        for chips in (desk.offered, desk.asked_before):
            chips.click(
                lambda sample, asks: (sample[0], asks + 1),
                [chips, desk.asks],
                [desk.question, desk.asks],
                trigger_mode="always_last",
                **AT_ONCE,
            )
        desk.count.input(
            self._look_at,
            [desk.passage, desk.model, desk.history, desk.document],
            about_passage,
            trigger_mode="always_last",
            **AT_ONCE,
        ).then(None, None, None, js="() => verbatim.counted()", **PRIVATE)
        opened = desk.file.upload(
            self._open_file,
            [desk.file, desk.model, desk.history],
            [
                *[desk.passage, desk.document, desk.ranked, desk.marked, desk.asked_of],
                *[desk.progress, desk.stop],
                *[desk.file_wrong, desk.question_wrong, desk.settings_wrong],
                *about_passage,
            ],
            show_progress_on=desk.passage,
            **OPENING,
        )
        opened.success(None, None, None, js="() => verbatim.focusQuestion()", **PRIVATE)
        following: dict[str, Any] = {
            "fn": self._open_link,
            "inputs": [
                *[desk.fragment, desk.passage, desk.model, desk.top_k, desk.history, desk.asks]
            ],
            "outputs": [
                *[*asked_of, desk.asks, desk.ranked, desk.marked, desk.asked_of],
                *[desk.settings_wrong, *about_passage],
            ],
            **AT_ONCE,
        }
        # Which models there are comes before which one a link names: Gradio would choose one that
        # comes with the choices only after it has asked.
        offer: dict[str, Any] = {
            "fn": lambda: fields.offer(self._readers),
            "outputs": desk.model,
            **AT_ONCE,
        }
        arriving, following_on = (
            f"(_, ...rest) => [verbatim.{how}(), ...rest]" for how in ("arrive", "follow")
        )
        linked = page.load(**offer).then(**following, js=arriving)
        linked.then(None, None, None, js="() => verbatim.show()", **PRIVATE)
        followed = desk.ranked.submit(**offer).then(**following, js=following_on)
        return Asking(
            question=desk.question,
            passage=desk.passage,
            top_k=desk.top_k,
            asked_of=desk.asked_of,
            chosen=desk.chosen,
            asked=asked,
            made_way=(opened, followed),
            readings=self._readings,
        )

    async def _ask(
        self,
        question: str,
        passage: str,
        model: str,
        top_k: int,
        document: Document,
        history: History,
        request: gr.Request,
    ) -> AsyncIterator[Changes]:
        """Read the passage; show what is found while it is found."""
        document = _pages(document, passage)
        result, shown = None, False
        refused: Changes = {}
        seen: list[WindowLogits] = []
        with self._turns.begin(request.session_hash) as turn:
            try:
                with log.entry("page") as entry:
                    reader = await to_thread.run_sync(self._readers.get, model)
                    kept = self._readings.get((ref(reader), Asked(question, passage, model)))
                    known = kept.read if kept else None
                    results = turn.steps(
                        reader,
                        lambda mine: mine.stream(question, passage, top_k, seen=seen, known=known),
                    )
                    async with aclosing(results):
                        async for so_far in results:
                            if not so_far.complete:
                                yield self._show_progress(so_far, passage, document, not shown)
                                shown = True
                            result = so_far
                    if result is not None:
                        entry.read(result)
                        entry.outcome = "answered" if result.complete else "stopped"
            except QAError as error:
                if result is None:
                    refused = self._refuse(error)
                else:  # what was found before it went wrong stays
                    refused = {self._desk.passage_wrong: answers.draw_error(str(error))}
            if result is not None and not turn.superseded:
                asked = Asked(question, passage, model, None if result.complete else result.read)
                with suppress(QAError):  # Look inside would read the passage anew
                    look = await to_thread.run_sync(
                        Reading.of, reader, question, passage, seen[: result.read]
                    )
                    self._readings.put((ref(reader), asked), look)
        settled = self._settled() | ({} if shown else self._nothing_wrong()) | refused
        if turn.superseded:
            yield {self._desk.progress: gr.skip()}  # where nothing is given, Gradio shows nothing
        elif result is None:
            yield {self._desk.ranked: answers.NOTHING_FOUND, self._desk.asked_of: None} | settled
        else:
            history = history.with_question(question, passage)
            yield settled | {
                self._desk.ranked: answers.draw_answers(
                    result,
                    passage,
                    document,
                    taken_along=export.formats(result, question, passage, document),
                    link=link.write(question, model, top_k),
                ),
                self._desk.marked: answers.draw_passage(result, passage),
                self._desk.chosen: 1,
                self._desk.asked_of: asked,
                self._desk.history: history,
                self._desk.asked_before: _offer(history.questions),
            }

    def _show_progress(
        self, result: Result, passage: str, document: Document, first: bool
    ) -> Changes:
        """Show the answers so far. They are marked when all is read: until then marks would come
        and go, and the passage move under them."""
        changes: Changes = {
            self._desk.ranked: answers.draw_answers(result, passage, document, reading=True),
            self._desk.progress: progress.draw_bar(
                "Read", result.read, result.windows, f"{result.read / result.windows:.0%} read"
            ),
        }
        if first:
            marked = answers.draw_passage(replace(result, answers=()), passage)
            changes |= {self._desk.marked: marked, self._desk.stop: gr.update(visible=True)}
            changes |= self._nothing_wrong()
        return changes

    def _settled(self) -> Changes:
        """Nothing is being read. What has been refused meanwhile is still said."""
        return {self._desk.progress: "", self._desk.stop: gr.update(visible=False)}

    def _nothing_wrong(self) -> Changes:
        return {
            self._desk.passage_wrong: "",
            self._desk.file_wrong: "",
            self._desk.question_wrong: "",
            self._desk.settings_wrong: "",
        }

    def _stop(self, request: gr.Request) -> None:
        self._turns.stop(request.session_hash)

    def _refuse(self, error: QAError) -> Changes:
        """Say what is wrong beside the field it concerns."""
        beside = {
            "passage": self._desk.passage_wrong,
            "question": self._desk.question_wrong,
            "model": self._desk.settings_wrong,
            "top_k": self._desk.settings_wrong,
        }
        field = error.field if isinstance(error, InputError) else "model"
        return {
            self._desk.ranked: answers.NOTHING_ASKED,
            self._desk.marked: answers.NOTHING_MARKED,
            self._desk.asked_of: None,
            beside[field or "question"]: answers.draw_error(str(error)),
        }

    def _open_example(self, index: int, model: str, history: History, asks: int) -> Changes:
        """Put an example on the page and ask its first question."""
        example = self._examples[index]
        return {
            self._desk.passage: example.passage,
            self._desk.question: example.questions[0],
            self._desk.asks: asks + 1,
        } | self._look_at(example.passage, model, history)

    def _open_file(self, file: Sent, model: str, history: History, request: gr.Request) -> Changes:
        """Put a file's text on the page, where what is being read makes way for it. The copy that
        was sent is not kept."""
        try:
            document = documents.read(file.path, self._readers.files)
        except QAError as error:
            return {self._desk.file_wrong: answers.draw_error(str(error))}
        finally:
            uploads.remove(file.path)
        self._turns.supersede(request.session_hash)
        document = Document(carried(document.text), document.pages)
        return (
            self._settled()
            | self._nothing_wrong()
            | {
                self._desk.passage: document.text,
                self._desk.document: document,
                self._desk.ranked: answers.NOTHING_ASKED,
                self._desk.marked: answers.NOTHING_MARKED,
                self._desk.asked_of: None,
            }
            | self._look_at(document.text, model, history, document)
        )

    def _open_link(
        self, fragment: str, passage: str, model: str, top_k: int, history: History, asks: int
    ) -> Changes:
        """Put on the page what a link asks, and ask it, if that can be and there is a question. A
        text of the visitor's own makes way for no link that came without its passage."""
        asked = link.read(fragment, MOST_ANSWERS)
        if asked is None:
            return {self._desk.asks: asks}
        if not asked.passage.strip() and not self._example_of(passage):
            asked = replace(asked, passage=passage)
        changes: Changes = {
            self._desk.question: asked.question,
            self._desk.passage: asked.passage,
            self._desk.top_k: asked.top_k or top_k,
            self._desk.ranked: "",
            self._desk.marked: answers.NOTHING_MARKED,
        } | self._look_at(asked.passage, model, history)
        try:
            changes[self._desk.model] = self._readers.get(asked.model or model).card.name
            asked.check()
        except QAError as error:
            return changes | self._refuse(error)
        changes[self._desk.settings_wrong] = ""
        if not asked.question.strip():
            return changes | {self._desk.ranked: answers.NOTHING_ASKED, self._desk.asked_of: None}
        return changes | {self._desk.asks: asks + 1}

    def _look_at(
        self, passage: str, model: str, history: History, document: Document = NO_PAGES
    ) -> Changes:
        """Show how long the passage on the page is, and what was and can be asked about it."""
        # That a passage is blank is no mistake before somebody asks, and stays one until it is not.
        tokens, wrong = None, "" if passage.strip() else gr.skip()
        try:
            tokens = len(self._readers.get(model).tokens(passage))
        except QAError as error:
            if isinstance(error, InputError) and error.field == "passage":
                wrong = answers.draw_error(str(error))
        pages = len(_pages(document, passage).pages)
        offered = self._example_of(passage)
        return {
            self._desk.count: progress.draw_count(len(passage), tokens, pages),
            self._desk.passage_wrong: wrong,
            self._desk.offered: _offer(offered.questions if offered else (), visible=bool(offered)),
            self._desk.asked_before: _offer(history.about(passage)),
        }

    def _example_of(self, passage: str) -> examples.Example | None:
        """Return the example whose passage this is."""
        return next((each for each in self._examples if each.passage == passage), None)


def _offer(questions: Sequence[str], *, visible: bool = True) -> dict[str, Any]:
    """Return what makes a list of chips offer these questions."""
    update: dict[str, Any] = gr.update(
        samples=[[question] for question in questions],
        sample_labels=list(questions),
        visible=visible,
    )
    return update


def _pages(document: Document, passage: str) -> Document:
    """Return the document that a passage is, without pages where it was edited since."""
    return document if document.text == passage else NO_PAGES
