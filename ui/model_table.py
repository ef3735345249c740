"""How models are drawn, as escaped HTML: the table of all of them, how quick they are, and how far
a fetch is.

Pure functions from cards, figures and progress to a string. No styling, no Gradio and no fetching
is known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from qa import ModelCard
from qa.speed import LENGTHS, Speed
from qa.store import Progress
from ui.answers import draw_error
from ui.progress import draw_bar
from ui.text import escaped

_COLUMNS = ("Model", "Size", "GOps", "EM", "F1", "ECE", "Trained on", "Licence", "State")
_UNKNOWN = '<span class="vb-unknown">unknown</span>'


def draw_table(cards: Iterable[ModelCard], default: str) -> str:
    """Draw all models, one a row. `default` is the name of the one that answers first."""
    heads = "".join(f'<th scope="col" role="columnheader">{column}</th>' for column in _COLUMNS)
    rows = "".join(_row(card, default) for card in cards)
    # Drawn as blocks on a phone, a table is one for screen readers only by its roles.
    return (
        '<table class="vb-models" role="table"><caption>GOps are billions of operations for one '
        "window of 384 tokens; EM (exact match) and F1 are in percent, of the answers to the "
        "questions named in small print; ECE is how far scores are from the share that is right, "
        "in percent.</caption>"
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


def draw_speeds(cards: Iterable[ModelCard], speeds: Mapping[str, Sequence[Speed]]) -> str:
    """Draw how long a question takes with the models that were measured; "" where none was."""
    rows = "".join(
        f'<tr role="row"><th scope="row" role="rowheader">{escaped(card.title or card.name)}</th>'
        f"{''.join(map(_speed_cell, speeds[card.name]))}</tr>"
        for card in cards
        if card.name in speeds
    )
    heads = "".join(
        f'<th scope="col" role="columnheader">{_tokens(length)}</th>' for length in LENGTHS
    )
    return (
        '<table class="vb-speeds" role="table"><thead role="rowgroup"><tr role="row">'
        f'<th scope="col" role="columnheader">Model</th>{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
        if rows
        else ""
    )


def draw_measuring(title: str, done: int) -> str:
    """Draw how far a measurement is."""
    bar = draw_bar("Measured", done, len(LENGTHS), f"{done} of {len(LENGTHS)} lengths")
    return f'<p class="vb-unseen" role="status">Measuring {escaped(title)}</p>{bar}'


def draw_measured(title: str) -> str:
    return f'<p class="vb-unseen" role="status">{escaped(title)} is measured.</p>'


def draw_added(title: str) -> str:
    return f'<p class="vb-note" role="status">{escaped(title)} is added. Every page offers it.</p>'


def draw_status(title: str, says: str) -> str:
    """Draw a model's title and one sentence about it, which is announced when it changes."""
    return _entry(title, f'<p role="status">{escaped(says)}</p>')


def draw_failure(title: str, says: str, error: str) -> str:
    """Draw a model's title, what went wrong, and how things stand now."""
    return _entry(title, f"{draw_error(error)}<p>{escaped(says)}</p>")


def draw_progress(title: str, progress: Progress | None) -> str:
    """Draw how far a fetch is; None where nothing has been heard of it yet.

    Only what begins and ends is announced: nobody wants to hear every megabyte.
    """
    spoken, seen, bar = f"Fetching {title}", "Looking for it", ""
    if progress and progress.step == "wait":
        seen = "Another process is fetching it; waiting for that"
    elif progress and progress.step == "convert":
        spoken, seen = f"Converting {title}", "All of it is here and right; converting it"
    elif progress:
        seen = progress.amount
        bar = f' max="{progress.total}" value="{progress.done}"'
    return _entry(
        title,
        f'<p class="vb-unseen" role="status">{escaped(spoken)}</p>'
        f'<progress aria-label="{escaped(spoken)}"{bar}></progress>'
        f'<p class="vb-amount">{escaped(seen)}</p>',
    )


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 10e6 else f"{size / 1e6:.1f} MB"


def _row(card: ModelCard, default: str) -> str:
    names = "".join(f"<code>{escaped(name)}</code>" for name in (card.name, *card.aliases))
    base = f"<small>made from {escaped(card.base_model)}</small>" if card.base_model else ""
    parameters = (
        f"<small>{card.parameters / 1e6:,.3g} million parameters</small>" if card.parameters else ""
    )
    error = None if card.calibration_error is None else 100 * card.calibration_error
    measured = f"<small>{escaped(card.measured_on)}</small>" if card.measured_on else ""
    state = "Installed" if card.installed else "Not installed"
    if card.name == default:
        state += "<small>answers first</small>"
    values = (
        megabytes(card.size) + ("" if card.installed else "<small>to fetch</small>") + parameters,
        _number(card.gops_384),
        _number(card.exact_match),
        _number(card.f1) + measured,
        _number(error),
        escaped(card.training_data) or _UNKNOWN,
        escaped(card.licence) or _UNKNOWN,
        state,
    )
    cells = "".join(
        f'<td role="cell" data-column="{column}"><div>{value}</div></td>'
        for column, value in zip(_COLUMNS[1:], values, strict=True)
    )
    return (
        f'<tr role="row"><th scope="row" role="rowheader"><b>{escaped(card.title or card.name)}</b>'
        f"{names}{base}</th>{cells}</tr>"
    )


def _speed_cell(speed: Speed) -> str:
    return (
        f'<td role="cell" data-column="{_tokens(speed.tokens)}"><div>{speed.milliseconds:,.1f} ms'
        f"<small>{speed.per_second:,.1f} a second</small></div></td>"
    )


def _tokens(length: int) -> str:
    return f"{length} tokens"


def _entry(title: str, body: str) -> str:
    return f"<h3>{escaped(title)}</h3>{body}"


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{round(value, 2):g}"
