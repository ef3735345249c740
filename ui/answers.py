"""How a result is drawn, as escaped HTML: the ranked answers, and the passage with them marked.

Pure functions from a result to a string. Everything that a person or a passage wrote goes through
`escaped`. No styling, no Gradio and no model is known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from qa import Answer, Result
from qa.documents import Document
from ui.sentences import around
from ui.text import counted, duration, escaped, percent

NO_PAGES = Document("")
_NOTHING: Mapping[str, str] = MappingProxyType({})

DRAWN_WHOLE = 200_000  # characters; a novel has more
DRAWN_AROUND = 5_000  # characters drawn on each side of an answer in a longer passage
_GAP = '<p class="vb-gap">What is between the answers is not shown; the passage is too long.</p>'

_STEPS = {"tokenize": "Tokenize", "run": "Run", "rank": "Rank", "total": "In all"}

PROBABLY_NOT = "Probably not in this text"
NOTHING_ASKED = (
    '<div class="vb-empty"><p>The words that answer will stand here.</p>'
    "<p>Paste a text or drop a file, type a question and press Enter.</p></div>"
)
NOTHING_FOUND = (
    '<div class="vb-empty"><p role="status">Stopped before anything was found.</p></div>'
)
NOTHING_MARKED = '<div class="vb-passage" aria-hidden="true"></div>'


def draw_answers(
    result: Result,
    passage: str,
    document: Document = NO_PAGES,
    *,
    taken_along: Mapping[str, str] = _NOTHING,
    link: str = "",
    reading: bool = False,
) -> str:
    """Draw the ranked answers with their scores, each in its sentence, with its page where
    `document` has pages.

    `taken_along` is what can be copied below them, by name; `link` what a link to them says. While
    `reading` goes on nothing is announced.
    """
    drawn_notes = "".join(f'<p class="vb-note">{note}</p>' for note in _notes(result, reading))
    items = "".join(
        _answer(rank, answer, passage, document.page_at(answer.start))
        for rank, answer in enumerate(result.answers, 1)
    )
    state = " vb-reading" if reading else _doubt(result)
    return (
        f'<p class="vb-unseen" role="status">{"" if reading else _spoken(result)}</p>{drawn_notes}'
        f'<ol class="vb-answers{state}">{items}</ol>{_no_answer(result)}'
        f"{_take_along(taken_along, link)}"
    )


def draw_passage(result: Result, passage: str) -> str:
    """Draw the passage in a scroll box with every answer marked at its place, and below it what
    reading it took. Of a passage of more than DRAWN_WHOLE characters, which would keep the browser
    busy for seconds, only what is around the answers."""
    pieces = []
    for begin, end in _drawn(result.answers, len(passage)):
        if begin:
            pieces.append(_GAP)
        position = begin
        for rank, answer in sorted(enumerate(result.answers, 1), key=lambda item: item[1].start):
            if begin <= answer.start < end:
                pieces.append(escaped(passage[position : answer.start]))
                pieces.append(
                    f'<mark data-rank="{rank}"{_chosen(rank)}>{escaped(answer.text)}</mark>'
                )
                position = answer.end
        pieces.append(escaped(passage[position:end]))
    if end < len(passage):
        pieces.append(_GAP)
    return (
        f'<div class="vb-passage{_doubt(result)}" role="region" tabindex="0" '
        f'aria-label="Passage with answers marked">{"".join(pieces)}</div>'
        f'<dl class="vb-figures">{"".join(_figures(result))}</dl>'
    )


def draw_error(sentence: str) -> str:
    """Draw what is wrong, so that it is announced at once."""
    return f'<p class="vb-error" role="alert">{escaped(sentence)}</p>'


def _answer(rank: int, answer: Answer, passage: str, page: int | None) -> str:
    sentence = around(passage, answer.start, answer.end)
    before, after = passage[sentence.start : answer.start], passage[answer.end : sentence.end]
    text = escaped(answer.text)
    current = ' aria-current="true"' if rank == 1 else ""
    drawn_page = f'<span class="vb-page">page {page}</span>' if page else ""
    return (
        f'<li class="vb-answer" data-rank="{rank}">'
        f'<p class="vb-words"><button type="button" class="vb-choose"{current}>'
        f'<b dir="auto">{text}</b></button>{drawn_page}'
        f'<span class="vb-score">{percent(answer.score)}</span>'
        f'<button type="button" class="vb-copy" data-copy="{text}" aria-label="Copy answer {rank}">'
        "Copy</button></p>"
        f'<div class="vb-bar"><i style="width:{100 * answer.score:.1f}%"></i></div>'
        f'<p class="vb-sentence" dir="auto">{"… " if sentence.cut_before else ""}{escaped(before)}'
        f"<em>{text}</em>{escaped(after)}{' …' if sentence.cut_after else ''}</p></li>"
    )


def _drawn(answers: Sequence[Answer], length: int) -> list[tuple[int, int]]:
    """Return which stretches of a passage are drawn, in order."""
    if length <= DRAWN_WHOLE:
        return [(0, length)]
    stretches: list[tuple[int, int]] = []
    for start, end in sorted((answer.start, answer.end) for answer in answers) or [(0, 0)]:
        begin, end = max(0, start - DRAWN_AROUND), min(length, end + DRAWN_AROUND)
        if stretches and begin <= stretches[-1][1]:
            begin = stretches.pop()[0]
        stretches.append((begin, end))
    return stretches


def _chosen(rank: int) -> str:
    """Return the attribute of what is chosen until somebody chooses another."""
    return ' class="vb-chosen"' if rank == 1 else ""


def _notes(result: Result, reading: bool) -> Iterator[str]:
    if result.question_cut:
        yield "The question is longer than the model reads; its end was left out."
    if not (result.complete or reading):
        yield (
            f"<strong>Stopped.</strong> {result.read:,} of {result.windows:,} windows were read; "
            "these are the best answers in them."
        )
    if not result.answers:
        yield "The passage has no words that this model can read."
    elif result.probably_no_answer and not reading:
        yield f"<strong>{PROBABLY_NOT}.</strong> The best guess all the same:"


def _take_along(texts: Mapping[str, str], link: str) -> str:
    if not texts:
        return ""
    buttons = "".join(
        f'<button type="button" class="vb-copy" data-copy="{escaped(text)}" '
        f'aria-label="Copy all as {name}">{name}</button>'
        for name, text in texts.items()
    )
    return (
        f'<p class="vb-take"><span>Copy all as</span>{buttons}'
        f'<button type="button" class="vb-copy" data-link="{escaped(link)}">Copy link</button></p>'
    )


def _doubt(result: Result) -> str:
    return " vb-doubtful" if result.probably_no_answer else ""


def _no_answer(result: Result) -> str:
    if result.no_answer is None:
        return ""
    return (
        '<p class="vb-words vb-none"><span>The passage does not say</span>'
        f'<span class="vb-score">{percent(result.no_answer)}</span></p>'
    )


def _figures(result: Result) -> Iterator[str]:
    figures = {"Tokens": f"{result.tokens:,}", "Windows": f"{result.windows:,}"}
    figures |= {
        label: duration(result.milliseconds[step])
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
    told = f"{percent(best.score)}: {escaped(best.text)}"
    stopped = "" if result.complete else "Stopped. "
    if result.probably_no_answer:
        return f"{stopped}{PROBABLY_NOT}. The best guess, {told}"
    return f"{stopped}{counted(len(result.answers), 'answer')}. The best, {told}"
