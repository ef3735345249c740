"""The tab "Compare", and `/compare` over HTTP: every installed model answers the same question.

What is compared is in `qa.comparison`, how it is drawn in `side_by_side`. Models are asked only
when somebody presses the button: a large one takes its time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import gradio as gr

from qa import QAError, Reader, comparison
from ui import answers, log, presence, side_by_side
from ui.asking import Asked, Asking
from ui.endpoint import telling
from ui.events import AT_ONCE, WAITING, Changes
from ui.readers import Readers
from ui.turns import Turns

# A comparison takes longer than any question, which it should not keep waiting.
_COMPARING: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "comparing"}


def build(readers: Readers, asking: Asking, tab: gr.Tab) -> None:
    """Build what stands in `tab`."""
    turns = Turns(readers.turn)

    def invite() -> Changes:
        """Offer the models that are installed now."""
        cards = readers.cards()
        invitation = side_by_side.draw_invitation(cards)
        return {invited: invitation, start: gr.update(interactive=len(cards) > 1)}

    def ask_all(question: str, passage: str, top_k: int, request: gr.Request) -> Iterator[Changes]:
        """Ask model after model, showing how things stand."""
        entries: list[comparison.Entry] = []
        with turns.begin(request.session_hash) as turn:
            try:
                for entries in _compare("compare", readers, turn.wanted, question, passage, top_k):
                    if not (turn.superseded or comparison.over(entries)):
                        drawn = side_by_side.draw(entries, question)
                        yield {shown: drawn, stop: gr.update(interactive=True)}
                drawn = side_by_side.draw(entries, question)
            except QAError as error:
                if turn.wanted():
                    drawn = answers.draw_error(str(error))
                else:
                    drawn = side_by_side.draw(entries, question, stopped=True)
        yield {
            shown: gr.skip() if turn.superseded else drawn,
            stop: gr.update(interactive=False),
        }

    def end(request: gr.Request) -> None:
        turns.stop(request.session_hash)

    def begin(question: str, passage: str, request: gr.Request) -> int:
        """What was compared before makes way at once."""
        turns.supersede(request.session_hash)
        return hash((question, passage))

    def clear(asked: Asked | None, of: int | None, request: gr.Request) -> Any:
        """What was compared makes way for another question, and stays for the same one."""
        if asked and hash((asked.question, asked.passage)) == of:
            return gr.skip()
        turns.supersede(request.session_hash)
        return ""

    def clear_if_gone(asked: Asked | None, request: gr.Request) -> Any:
        return gr.skip() if asked else clear(None, None, request)

    invited = gr.HTML(side_by_side.draw_invitation(readers.cards()), apply_default_css=False)
    with gr.Row(elem_id="vb-comparing"):
        start = gr.Button("Compare", variant="primary", min_width=88, scale=0)
        stop = gr.Button("Stop", interactive=False, min_width=88, scale=0)
    shown = gr.HTML("", elem_id="vb-compared", apply_default_css=False)
    compared = gr.State(None)  # the hash of question and passage
    tab.select(invite, None, [invited, start], **AT_ONCE)
    # One comparison goes on at a time. Whoever compares anew need not wait for their own before it.
    start.click(begin, [asking.question, asking.passage], compared, **AT_ONCE)
    start.click(
        ask_all,
        [asking.question, asking.passage, asking.top_k],
        [shown, stop],
        trigger_mode="multiple",
        show_progress_on=shown,
        **_COMPARING,
        **WAITING,
    )
    stop.click(end, **AT_ONCE)
    asking.asked.success(clear, [asking.asked_of, compared], shown, **AT_ONCE)
    for event in asking.made_way:
        event.success(clear_if_gone, asking.asked_of, shown, **AT_ONCE)
    gr.events.api(compare_with(readers), api_name="compare", **_COMPARING)


def compare_with(readers: Readers) -> Callable[..., dict[str, Any]]:
    """Return the function behind `/compare`."""

    def compare(question: str, passage: str, top_k: int | None = 3) -> dict[str, Any]:
        """Ask every installed model the same question and say where they disagree.

        Parameters:
            question: What you want to know.
            passage: The text that may say it.
            top_k: How many answers each model gives, from 1 to 100.

        Returns:
            An object with models (model, title, f1 and result each; error in place of the result
            where a model cannot answer), opinions (what is said: text, null for "no answer", and
            models, the names of those that say it; what most say comes first) and agree. A result
            is what `/answer` gives.
        """
        top_k = 3 if top_k is None else top_k
        with telling():
            there = presence.of_caller()
            *_, entries = _compare("/compare", readers, there, question, passage, top_k)
        return comparison.to_dict(entries)

    return compare


def _compare(
    endpoint: str,
    readers: Readers,
    wanted: Callable[[], bool],
    question: str,
    passage: str,
    top_k: int,
) -> Generator[list[comparison.Entry], None, None]:
    """Ask model after model as long as that is wanted, and note it."""

    def get(name: str) -> Reader:
        return readers.get(name).wanted_while(wanted)

    with log.entry(endpoint) as noted:
        for entries in comparison.compare(readers.cards(), get, question, passage, top_k):
            yield entries
        for entry in entries:
            if entry.result:
                noted.read(entry.result)
        noted.outcome = "answered"
