"""Models compared, drawn as escaped HTML: what each answers, where they disagree, and their time
against their F1.

Pure functions from `qa.comparison` to a string. Plots are SVG for the reasons `evidence` gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from qa import ModelCard, Result, comparison
from qa.comparison import Entry, Opinion
from ui.text import duration, escaped, percent

NO_ANSWER = "the passage does not say"

_HEADS = ("Model", "Answers", "No answer", "Time", "F1")
_UNKNOWN = '<span class="vb-unknown">unknown</span>'
_PLOT = 220  # pixels high, without what stands below the axis


def draw_invitation(cards: Sequence[ModelCard]) -> str:
    """Say what can be compared."""
    if len(cards) == 1:
        says = (
            f"One model is installed, {_title(cards[0])}, so there is nothing to compare it with. "
            'The page <a href="models">Models</a> lists others.'
        )
    else:
        titles = ", ".join(map(_title, cards))
        says = (
            f"Let all {len(cards)} installed models answer your question and see where they "
            f"disagree: {titles}."
        )
    return f'<div class="vb-comparison"><p>{says}</p></div>'


def draw(entries: Sequence[Entry], question: str, *, stopped: bool = False) -> str:
    """Draw how things stand, or stood when they were `stopped`."""
    over = stopped or comparison.over(entries)
    said = comparison.opinions(entries) if over else []
    heads = "".join(f'<th scope="col" role="columnheader">{head}</th>' for head in _HEADS)
    rows = "".join(_row(entry, said, over) for entry in entries)
    verdict = draw_verdict(said, len(entries)) if over else "Asking…"
    if stopped:
        verdict = f"Stopped. {verdict}" if len(said) else "Stopped."
    # Drawn as blocks on a phone, a table is one for screen readers only by its roles.
    return (
        '<div class="vb-comparison"><p class="vb-verdict" role="status">'
        f"{verdict}</p>"
        f'<table class="vb-spans vb-sides" role="table"><caption><bdi>{escaped(question)}</bdi>'
        f'</caption><thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
        f"{_plot(entries) if over else ''}</div>"
    )


def draw_verdict(said: Sequence[Opinion], models: int) -> str:
    """Say in a sentence whether the models agree, those of them that answered."""
    answered = sum(len(opinion.models) for opinion in said)
    if answered < 2:
        return "There is nothing to compare."
    if len(said) == 1:
        who = "All agree" if answered == models else f"The {answered} that answered agree"
        return f"{who}: {_quoted(said[0].text)}."
    shared = [opinion for opinion in said if len(opinion.models) > 1]
    if not shared:
        return "They disagree." if answered == 2 else "No two agree."
    return " ".join(
        f"{len(opinion.models)} of {answered} say: {_quoted(opinion.text)}." for opinion in shared
    )


def _row(entry: Entry, said: Sequence[Opinion], over: bool) -> str:
    return (
        f'<tr role="row"><th scope="row" role="rowheader">{_title(entry.card)}'
        f"{_differs(entry, said)}</th>{_cells(entry, over)}</tr>"
    )


def _differs(entry: Entry, said: Sequence[Opinion]) -> str:
    """Mark a model that says something else than most, or where there is no most than the first."""
    if not any(entry.card.name in opinion.models for opinion in said[1:]):
        return ""
    return ' <small class="vb-differs">≠ differs</small>'


def _cells(entry: Entry, over: bool) -> str:
    result, f1 = entry.result, entry.card.f1
    if entry.error:
        return f'<td colspan="4" role="cell"><p class="vb-error">{escaped(entry.error)}</p></td>'
    if result is None or not result.complete:
        return f'<td colspan="4" role="cell">{_standing(result, over)}</td>'
    values = (
        _answers(result),
        _UNKNOWN if result.no_answer is None else percent(result.no_answer),
        duration(result.milliseconds["total"]),
        _UNKNOWN if f1 is None else f"{f1:.2f}",
    )
    return "".join(
        f'<td role="cell" data-column="{head}"><div>{value}</div></td>'
        for head, value in zip(_HEADS[1:], values, strict=True)
    )


def _standing(result: Result | None, over: bool) -> str:
    if over:
        return "not asked to its end"
    if result is None:
        return "…"
    return f"reading, {result.read:,} of {result.windows:,} windows"


def _answers(result: Result) -> str:
    items = "".join(
        f"<li><bdi>{escaped(answer.text)}</bdi> "
        f'<span class="vb-score">{percent(answer.score)}</span></li>'
        for answer in result.answers
    )
    guess = f"<p>Probably {NO_ANSWER}. Its best guesses:</p>" if result.probably_no_answer else ""
    return f"{guess}<ol>{items}</ol>"


def _plot(entries: Sequence[Entry]) -> str:
    """Draw a point for each model whose card has an F1: how long it took just now, and how good it
    is."""
    points = [
        (entry.card, entry.result.milliseconds["total"], entry.card.f1)
        for entry in entries
        if entry.result and entry.finished and entry.card.f1 is not None
    ]
    if not points:
        return ""
    fastest, slowest = (choose(time for _, time, _ in points) for choose in (min, max))
    least, most = (choose(f1 for _, _, f1 in points) for choose in (min, max))
    left, right = math.log10(fastest / 2), math.log10(slowest * 2)
    low, high = 5 * math.floor((least - 1) / 5), min(100, 5 * math.ceil((most + 1) / 5))

    def across(milliseconds: float) -> float:
        return 100 * (math.log10(milliseconds) - left) / (right - left)

    def down(f1: float) -> float:
        return 8 + (_PLOT - 16) * (high - f1) / (high - low)

    grid = "".join(
        f'<line class="vb-rule" x1="0" x2="100%" y1="{down(f1):.1f}" y2="{down(f1):.1f}"/>'
        f'<text class="vb-scale" x="-6" y="{down(f1) + 4:.1f}" text-anchor="end">{f1}</text>'
        for f1 in range(low, high + 1, 5 if high - low <= 30 else 10)
    ) + "".join(
        f'<line class="vb-rule" x1="{across(tick):.2f}%" x2="{across(tick):.2f}%" y1="0" '
        f'y2="{_PLOT}"/><text class="vb-scale" x="{across(tick):.2f}%" y="{_PLOT + 16}" '
        f'text-anchor="middle">{duration(tick)}</text>'
        for tick in _ticks(fastest / 2, slowest * 2)
    )
    dots = ""
    # Names above and below in turn: those of neighbours would run into each other.
    for place, (card, time, f1) in enumerate(sorted(points, key=lambda point: point[1])):
        x, y = across(time), down(f1)
        side = "start" if x < 25 else "end" if x > 75 else "middle"
        below = 21 if place % 2 else -11
        dots += (
            f'<svg x="{x:.2f}%" y="{y:.1f}" overflow="visible"><circle r="5"/>'
            f'<text y="{below}" text-anchor="{side}">{_title(card)}</text></svg>'
        )
    told = "; ".join(f"{_title(card)}: {duration(time)}, F1 {f1:.2f}" for card, time, f1 in points)
    unplaced = [_title(entry.card) for entry in entries if entry.card.f1 is None]
    missing = f" No F1 is known of {', '.join(unplaced)}." if unplaced else ""
    return (
        "<h3>Time against F1</h3>"
        "<p>Further left is quicker, higher is better. The time was measured just now, on this "
        f"machine and this question; F1 is from each model's card.{missing}</p>"
        f'<svg class="vb-plot vb-dots" height="{_PLOT + 24}" role="img" aria-label="{told}">'
        f"{grid}{dots}</svg>"
    )


def _ticks(least: float, most: float) -> list[float]:
    """Return the round numbers, 1, 2 and 5 times a power of ten, in a range."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [tick for tick in ticks if least < tick < most]


def _quoted(text: str | None) -> str:
    return NO_ANSWER if text is None else f"<b><bdi>{escaped(text)}</bdi></b>"


def _title(card: ModelCard) -> str:
    return escaped(card.title or card.name)
