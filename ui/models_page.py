"""The models page: a table of all models, how well their scores mean what they say, how quick they
are here, and where that is allowed, what fetches, adds and removes them.

How models are drawn is in model_table.py and reliability.py, what goes on behind a button in
fetches.py and qa.speed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from anyio import to_thread

from qa import QAError, catalog, published, speed, store
from qa.published import Published
from qa.speed import Speed
from ui import answers, endpoint, fields, masthead, model_table, reliability
from ui.events import PRIVATE, WAITING, Changes
from ui.fetches import Fetch, Fetches
from ui.readers import Readers

PATH = "models"
LOOK_EVERY = 0.2  # seconds between two looks at how far a fetch is

# Waiting costs nothing: any number of visitors may watch.
_WATCHING: dict[str, Any] = {**PRIVATE, "concurrency_limit": None}

_OWNER_INSTALLS = (
    '<p class="vb-note">The owner of this host installs models; they cannot be fetched or removed '
    "here.</p>"
)
_SPEED = (
    "<p>How long a model takes to read so many tokens, question and passage together, and how many "
    "such questions that makes in a second, whatever else this machine has to do.</p>"
)
_OWN = (
    "<p>A folder on this computer with model.onnx (and what belongs to it), tokenizer.json and, if "
    "there is one, a card, model.json. Every page offers it until the app is stopped.</p>"
)
_HOW = "<p>A model is fetched only when you ask for it, and checked byte for byte.</p>"


def build(page: gr.Blocks, readers: Readers, *, may_fetch: bool) -> None:
    """Build it as another page of `page`. Unless `may_fetch`, nothing on it fetches, removes
    or adds one."""
    with page.route("Models", PATH):
        masthead.build("Choose what answers.", PATH)
        shown = _Shown(readers)
        gr.events.api(endpoint.models_with(readers), api_name="models")
        rows = []
        if may_fetch:
            rows = _build_store(readers, shown)
        else:
            gr.HTML(_OWNER_INSTALLS, apply_default_css=False)
        # One event for the whole page: of several at once, the last ones may be answered before
        # Gradio's client has heard that they were asked, and it then waits for nothing, for good.
        changing = [*shown.arriving, *(part for row in rows for part in row.components)]
        page.load(partial(_arrive, shown, rows), None, changing, **_WATCHING)


async def _arrive(shown: _Shown, rows: list[_Row]) -> AsyncIterator[Changes]:
    """Show how everything stands, and follow the fetches that are under way."""
    yield shown.arrive()
    watched = [row.watch() for row in rows]
    while news := [(each, changes) for each in watched if (changes := await anext(each, None))]:
        watched = [each for each, _ in news]
        yield {part: change for _, changes in news for part, change in changes.items()}


def _build_store(readers: Readers, shown: _Shown) -> list[_Row]:
    fetches = Fetches()
    rows = []
    with gr.Column(elem_id="vb-store"):
        gr.HTML(f"<h2>Fetch and remove</h2>{_HOW}", apply_default_css=False)
        for entry in published.PUBLISHED:
            with gr.Row(elem_classes="vb-model"):
                rows.append(_Row(entry, readers, fetches, shown))
    with gr.Column(elem_classes="vb-section"):
        _OwnFolder(readers, shown)
    return rows


class _Shown:
    """What changes when another model is installed: the table, the diagrams, and the choice of the
    one whose speed is measured, with the button that does."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._speeds: dict[str, list[Speed]] = {}
        self._table = gr.HTML(
            _table(readers),
            html_template="<h2>Models</h2>${value}",
            js_on_load="verbatim.models();",
            elem_id="vb-models",
            apply_default_css=False,
        )
        drawn = reliability.draw(readers.cards())
        with gr.Column(elem_classes="vb-section", visible=bool(drawn)) as self._scores:
            gr.HTML("<h2>Do scores mean what they say?</h2>", apply_default_css=False)
            self._diagrams = gr.HTML(drawn, apply_default_css=False)
        with gr.Column(elem_id="vb-speed", elem_classes="vb-section"):
            gr.HTML(f"<h2>Speed on this machine</h2>{_SPEED}", apply_default_css=False)
            with gr.Row(elem_classes="vb-line"):
                self._model = fields.model(readers, "Model to measure")
                self._measure = gr.Button("Measure speed", min_width=0, scale=0)
            self._progress = gr.HTML("", apply_default_css=False)
            self._measured = gr.HTML(self._draw_speeds(), apply_default_css=False)
        self.components = [self._table, self._scores, self._diagrams, self._model]
        self.arriving = [*self.components, self._measured]
        self._measure.click(
            self._time,
            self._model,
            [self._progress, self._measured, self._measure],
            concurrency_limit=1,  # two at once would each be measured slow
            show_progress_on=self._progress,
            **WAITING,
        )

    def arrive(self) -> Changes:
        return {**self.changes(), self._measured: self._draw_speeds()}

    def changes(self) -> Changes:
        drawn = reliability.draw(self._readers.cards())
        return {
            self._table: _table(self._readers),
            self._scores: gr.update(visible=bool(drawn)),
            self._diagrams: drawn,
            self._model: fields.offer(self._readers),
        }

    def without_choice(self) -> Changes:
        """Choose the model that answers first: the one that was chosen may be gone, which is not
        known here."""
        return {self._model: fields.offer(self._readers, self._readers.default.card.name)}

    async def _time(self, name: str) -> AsyncIterator[Changes]:
        found: list[Speed] = []
        try:
            reader = await to_thread.run_sync(self._readers.get, name)
            title = reader.card.title or reader.card.name
            measuring = speed.measure(reader)
            while True:
                yield {
                    self._progress: model_table.draw_measuring(title, len(found)),
                    self._measure: gr.update(interactive=False),
                }
                one = await to_thread.run_sync(next, measuring, None)
                if one is None:
                    break
                found.append(one)
        except QAError as error:
            wrong = answers.draw_error(str(error))
            yield {self._progress: wrong, self._measure: gr.update(interactive=True)}
            return
        self._speeds[reader.card.name] = found
        yield {
            self._progress: model_table.draw_measured(title),
            self._measured: self._draw_speeds(),
            self._measure: gr.update(interactive=True),
        }

    def _draw_speeds(self) -> str:
        return model_table.draw_speeds(self._readers.cards(), self._speeds)


class _OwnFolder:
    """Where a person types the folder of a model of their own."""

    def __init__(self, readers: Readers, shown: _Shown) -> None:
        self._readers = readers
        self._shown = shown
        gr.HTML(f"<h2>Add a folder of your own</h2>{_OWN}", apply_default_css=False)
        with gr.Row(elem_classes="vb-line"):
            self._folder = gr.Textbox(label="Folder", lines=1, max_lines=1, min_width=0)
            button = gr.Button("Add", min_width=0, scale=0)
        self._said = gr.HTML("", apply_default_css=False)
        changing = [self._folder, self._said, *shown.components]
        gr.on([button.click, self._folder.submit], self._add, self._folder, changing, **PRIVATE)

    def _add(self, folder: str) -> Changes:
        if not folder.strip():
            return {self._said: answers.draw_error("Type the path of a model's folder.")}
        try:
            path = Path(folder.strip()).expanduser()
        except RuntimeError:
            wrong = f"There is no home directory for {folder.strip()}; type the whole path."
            return {self._said: answers.draw_error(wrong)}
        try:
            card = self._readers.add(path)
        except QAError as error:
            return {self._said: answers.draw_error(str(error))}
        title = card.title or card.name
        said = model_table.draw_added(title)
        return {self._folder: "", self._said: said} | self._shown.changes()


class _Row:
    """A published model with its buttons, and what they do."""

    def __init__(self, entry: Published, readers: Readers, fetches: Fetches, shown: _Shown) -> None:
        self._entry = entry
        self._readers = readers
        self._fetches = fetches
        self._shown = shown
        says, offered = self._standing()
        self._status = gr.HTML(
            model_table.draw_status(entry.title, says),
            elem_classes="vb-model-status",
            apply_default_css=False,
        )
        size = model_table.megabytes(_to_fetch(entry))
        self._buttons = {
            name: gr.Button(
                label,
                variant="primary" if name == "fetch" else "secondary",
                visible=name in offered,
                min_width=88,
                scale=0,
            )
            for name, label in {
                "fetch": f"Fetch {size}",
                "stop": "Stop",
                "remove": "Remove",
                "confirm": "Remove it",
                "keep": "Keep it",
            }.items()
        }
        self.components = [self._status, *self._buttons.values()]
        changing = [*self.components, *shown.components]
        for name, act in {
            "fetch": self._fetch,
            "stop": self._stop,
            "remove": self._ask,
            "confirm": self._remove,
            "keep": self._stand,
        }.items():
            waiting = _WATCHING if name == "fetch" else PRIVATE
            self._buttons[name].click(act, None, changing, **waiting)

    async def watch(self) -> AsyncIterator[Changes]:
        """Show how things stand, following the fetch that is under way, if there is one."""
        fetch = self._fetches.running(self._entry.name)
        if fetch is None:
            yield self._stand()
            return
        async for changes in self._follow(fetch):
            yield changes

    async def _fetch(self) -> AsyncIterator[Changes]:
        async for changes in self._follow(self._fetches.start(self._entry.name)):
            yield changes

    async def _follow(self, fetch: Fetch) -> AsyncIterator[Changes]:
        """Show how far a fetch is until it has ended, and then how it did."""
        title = self._entry.title
        while not fetch.ended:
            offered = {"stop"} if fetch.stoppable else set()
            yield self._show(model_table.draw_progress(title, fetch.progress), offered)
            await asyncio.sleep(LOOK_EVERY)
        if fetch.error:
            yield self._fail(fetch.error)
        elif fetch.stopping and not self._installed():
            yield self._stand("Stopped. What has arrived is kept; fetch again to go on from there.")
        else:
            yield self._stand()

    def _stop(self) -> Changes:
        """Stop the fetch; whoever follows it shows that it did."""
        if fetch := self._fetches.running(self._entry.name):
            fetch.stop()
        return self._offer(set())

    def _ask(self) -> Changes:
        says = f"Remove it? {model_table.megabytes(_to_fetch(self._entry))} would have to be "
        html = model_table.draw_status(self._entry.title, f"{says}fetched to have it again.")
        return self._show(html, {"confirm", "keep"})

    def _remove(self) -> Changes:
        try:
            store.remove(self._entry.name)
        except QAError as error:
            return self._fail(str(error))
        self._readers.forget(self._entry.name)
        return self._stand("It is removed.") | self._shown.without_choice()

    def _fail(self, error: str) -> Changes:
        says, offered = self._standing()
        html = model_table.draw_failure(self._entry.title, says, error)
        return self._show(html, offered) | self._shown.changes()

    def _stand(self, news: str = "") -> Changes:
        """Show how things stand, or the news of how they came to stand so."""
        says, offered = self._standing()
        html = model_table.draw_status(self._entry.title, news or says)
        return self._show(html, offered) | self._shown.changes()

    def _standing(self) -> tuple[str, set[str]]:
        """Return how things stand, and which buttons that calls for."""
        if not self._installed():
            return f"Not installed. It is fetched from {_source(self._entry)}.", {"fetch"}
        if self._entry.name == self._readers.default.card.name:
            return "Installed. It stays, since it answers first here.", set()
        return "Installed. The ask page offers it.", {"remove"}

    def _installed(self) -> bool:
        return self._entry.name in {card.name for card in catalog.models()}

    def _show(self, html: str, offered: set[str]) -> Changes:
        return {self._status: html} | self._offer(offered)

    def _offer(self, offered: set[str]) -> Changes:
        """Show these buttons and no others."""
        return {
            button: gr.update(visible=name in offered) for name, button in self._buttons.items()
        }


def _table(readers: Readers) -> str:
    """Draw the table of all models, the one that answers first at its head."""
    cards = readers.cards()
    there = {card.name for card in cards}
    others = [card for card in catalog.not_installed() if card.name not in there]
    return model_table.draw_table([*cards, *others], readers.default.card.name)


def _to_fetch(entry: Published) -> int:
    return sum(file.size for file in entry.files[entry.precision])


def _source(entry: Published) -> str:
    """Say whom a fetch speaks to. A mirror's address may have a password in it."""
    return (
        "this host's mirror" if os.environ.get("QA_MIRROR") else str(urlsplit(entry.url).hostname)
    )
