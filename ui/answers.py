"""How a result is drawn, as escaped HTML: the ranked answers, and the passage with them marked.

Pure functions from a result to a string. Everything that a person or a passage wrote goes through
`_text`. No styling, no Gradio and no model is known here.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

import regex

from qa import Answer, Result
from ui.sentences import around

# What JSON and HTML cannot carry; one replacement character each keeps all others in their places.
_UNCARRIED = regex.compile(r"[\x00\ud800-\udfff]")

_STEPS = {"tokenize": "Tokenize", "run": "Run", "rank": "Rank", "total": "In all"}

PROBABLY_NOT = "Probably not in this text"
NOTHING_ASKED = (
    '<div class="vb-empty"><p>The words that answer will stand here.</p>'
    "<p>Paste a text, type a question and press Enter.</p></div>"
)
NOTHING_MARKED = '<div class="vb-passage vb-blank" aria-hidden="true"></div>'


def carried(text: str) -> str:
    """Replace what JSON and HTML cannot carry, character for character."""
    return _UNCARRIED.sub("\ufffd", text)


def draw_answers(result: Result, passage: str) -> str:
    """Draw the ranked answers with their scores, each in its sentence."""
    notes = []
    if result.question_cut:
        notes.append("The question is longer than the model reads; its end was left out.")
    if not result.answers:
        notes.append("The passage has no words that this model can read.")
    elif result.probably_no_answer:
        notes.append(f"<strong>{PROBABLY_NOT}.</strong> The best guess all the same:")
    drawn_notes = "".join(f'<p class="vb-note">{note}</p>' for note in notes)
    items = "".join(_answer(rank, answer, passage) for rank, answer in enumerate(result.answers, 1))
    return (
        f'<p class="vb-unseen" role="status">{_spoken(result)}</p>{drawn_notes}'
        f'<ol class="vb-answers{_doubt(result)}">{items}</ol>{_no_answer(result)}'
    )


def draw_passage(result: Result, passage: str) -> str:
    """Draw the whole passage in a scroll box with every answer marked at its place, and below it
    what reading it took."""
    pieces = []
    position = 0
    for rank, answer in sorted(enumerate(result.answers, 1), key=lambda item: item[1].start):
        pieces.append(_text(passage[position : answer.start]))
        pieces.append(f'<mark data-rank="{rank}">{_text(answer.text)}</mark>')
        position = answer.end
    pieces.append(_text(passage[position:]))
    return (
        f'<div class="vb-passage{_doubt(result)}" role="region" tabindex="0" '
        f'aria-label="Passage with answers marked">{"".join(pieces)}</div>'
        f'<dl class="vb-figures">{"".join(_figures(result))}</dl>'
    )


def draw_error(sentence: str) -> str:
    """Draw what is wrong, so that it is announced at once."""
    return f'<p class="vb-error" role="alert">{_text(sentence)}</p>'


def _answer(rank: int, answer: Answer, passage: str) -> str:
    sentence = around(passage, answer.start, answer.end)
    before, after = passage[sentence.start : answer.start], passage[answer.end : sentence.end]
    return (
        f'<li class="vb-answer" data-rank="{rank}">'
        f'<p class="vb-words"><b dir="auto">{_text(answer.text)}</b>'
        f'<span class="vb-score">{_percent(answer.score)}</span></p>'
        f'<div class="vb-bar"><i style="width:{100 * answer.score:.1f}%"></i></div>'
        f'<p class="vb-sentence" dir="auto">{"… " if sentence.cut_before else ""}{_text(before)}'
        f"<em>{_text(answer.text)}</em>{_text(after)}{' …' if sentence.cut_after else ''}</p></li>"
    )


def _doubt(result: Result) -> str:
    return " vb-doubtful" if result.probably_no_answer else ""


def _no_answer(result: Result) -> str:
    if result.no_answer is None:
        return ""
    return (
        '<p class="vb-words vb-none"><span>The passage does not say</span>'
        f'<span class="vb-score">{_percent(result.no_answer)}</span></p>'
    )


def _figures(result: Result) -> Iterator[str]:
    figures = {"Tokens": f"{result.tokens:,}", "Windows": f"{result.windows:,}"}
    figures |= {
        label: _duration(result.milliseconds[step])
        for step, label in _STEPS.items()
        if step in result.milliseconds
    }
    for label, value in figures.items():
        yield f"<div><dt>{label}</dt><dd>{value}</dd></div>"


def _spoken(result: Result) -> str:
    """Return what a screen reader says, once, when a result arrives."""
    if not result.answers:
        return "No answer."
    best = result.answers[0]
    if result.probably_no_answer:
        return f"{PROBABLY_NOT}. The best guess, {_percent(best.score)}: {_text(best.text)}"
    count = "1 answer" if len(result.answers) == 1 else f"{len(result.answers)} answers"
    return f"{count}. The best, {_percent(best.score)}: {_text(best.text)}"


def _percent(share: float) -> str:
    """Write a probability so that only an impossible outcome is 0%."""
    return "&lt;0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _duration(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _text(text: str) -> str:
    return html.escape(carried(text))
