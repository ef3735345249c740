"""The tab "Look inside", and `/look_inside` over HTTP: why the chosen answer won.

What is computed is in `qa.inside`, how it is drawn in `evidence`. Nothing is computed unless the
tab is open, and a passage that was just read for an answer is not read again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any
from weakref import ref

import gradio as gr
from anyio import to_thread

from qa import InputError, QAError, Reader
from qa.inside import Reading
from ui import evidence, log, presence
from ui.asking import Asked, Asking, Readings
from ui.endpoint import telling
from ui.events import AT_ONCE, WAITING, reading
from ui.readers import Readers
from ui.turns import Turns

SHOW_EVERY = 0.3  # seconds between two looks at how far the reading is


def build(readers: Readers, asking: Asking, tab: gr.Tab) -> None:
    """Build what stands in `tab`, following the answer that is chosen."""
    turns = Turns(readers.turn)

    async def show(
        is_open: bool, asked: Asked | None, rank: float, request: gr.Request
    ) -> AsyncIterator[Any]:
        """Show how far the reading is, then what the model said."""
        with turns.begin(request.session_hash) as turn:
            if is_open and asked is None:
                yield evidence.NOTHING_TO_SEE
            if is_open and asked:
                try:
                    reader = await to_thread.run_sync(readers.get, asked.model)
                    draw = partial(_draw, ref(reader), asking.readings, asked, int(rank))
                    async with aclosing(turn.steps(reader, draw)) as drawings:
                        async for drawn in drawings:
                            yield drawn
                except QAError as error:
                    yield evidence.draw_failure(str(error))
            yield gr.skip()  # where nothing is given, Gradio shows nothing

    def is_ours(event: gr.SelectData) -> bool:
        return bool(event.value == tab.label)

    is_open = gr.State(False)
    shown = gr.HTML(evidence.NOTHING_TO_SEE, elem_id="vb-inside", apply_default_css=False)

    showing: dict[str, Any] = {
        "fn": show,
        "inputs": [is_open, asking.asked_of, asking.chosen],
        "outputs": shown,
        "trigger_mode": "multiple",
        "concurrency_limit": None,  # they take turns by themselves
        **WAITING,
    }
    tabs: Any = tab.parent
    opened = tabs.select(is_ours, None, is_open, **AT_ONCE)
    opened.then(**showing)
    for event in (asking.asked, *asking.made_way):
        event.success(**showing)
    asking.chosen.change(**showing)
    gr.events.api(look_with(readers), api_name="look_inside", **reading(readers.limits))


def look_with(readers: Readers) -> Callable[..., dict[str, Any]]:
    """Return the function behind `/look_inside`."""

    def look_inside(
        question: str,
        passage: str,
        model: str | None = None,
        rank: int | None = 1,
        start: int | None = None,
        end: int | None = None,
    ) -> dict[str, Any]:
        """Show why an answer won: the model's logits and probabilities around it.

        Parameters:
            question: What you want to know.
            passage: The text that may say it.
            model: Name or alias of an installed model; the default one if left out.
            rank: Which of the ranked answers to look at, the best one being 1.
            start: With end, another span to look at instead: its first character's offset.
            end: The offset behind its last character.

        Returns:
            An object with model, chosen (the span: text, start, end, window, start_logit,
            end_logit, null_logit, logit, score, rank), tokens (those of its window: text, start,
            end, start_probability, end_probability), null_start and null_end (the same
            probabilities of "no answer in this window"), windows (number, start, end, tokens,
            logit of the best span, won), candidates (the best spans, like chosen, overlaps left in)
            and no_answer. Offsets are in code points.
        """
        with telling(), log.entry("/look_inside") as entry:
            if (start is None) != (end is None):
                raise InputError("Give both start and end, or neither.")
            span = None if start is None or end is None else (start, end)
            reader = readers.get(model).wanted_while(presence.of_caller())
            reading = Reading(reader, question, passage)
            for read in reading.run():
                entry.windows = read
            inside = reading.look(1 if rank is None else rank, span=span)
            entry.questions, entry.tokens = 1, len(reading)
            entry.outcome = "answered"
        return inside.to_dict()

    return look_inside


def _draw(
    loaded: ref[Reader], readings: Readings, asked: Asked, rank: int, reader: Reader
) -> Generator[str, None, None]:
    """Draw now and then how far the reading is, and at the end what the model said of the answer of
    this rank. `reader` is the one that was `loaded`, for whoever asked."""
    key = loaded, asked
    reading = readings.get(key)
    if reading is None:  # others have been read since it was
        reading = Reading(reader, asked.question, asked.passage, asked.windows)
        yield from _read(reading)
        readings.put(key, reading)
    yield evidence.draw(reading.look(rank), asked.passage, stopped=asked.windows is not None)


def _read(reading: Reading) -> Iterator[str]:
    """Read; draw now and then how far that is."""
    with log.entry("look inside") as entry:
        entry.questions, entry.tokens = 1, len(reading)
        due = time.monotonic() + SHOW_EVERY
        for read in reading.run():
            entry.windows = read
            if time.monotonic() >= due:
                yield evidence.draw_progress(read, reading.windows)
                due = time.monotonic() + SHOW_EVERY
        entry.outcome = "answered"
