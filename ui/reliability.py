"""Reliability diagrams: how often answers of a certain score are right, drawn as escaped SVG.

Pure functions from cards to a string; colours are in models.css.
"""

from __future__ import annotations

from collections.abc import Sequence

from qa import ModelCard
from qa.calibration import Bin
from ui.text import escaped

SIDE = 150  # of the square in which 0 to 100 percent stand, in units of the drawing
_LEFT, _TOP, _BELOW = 34, 8, 34
_TICKS = (0, 50, 100)


def draw(cards: Sequence[ModelCard]) -> str:
    """Draw the diagram of each card that has one; "" where none has."""
    figures = "".join(_figure(card) for card in cards if card.reliability)
    if not figures:
        return ""
    return (
        "<p>Of the answers with a score near 80%, about 80% should be right: bars that end on the "
        "dashed line. The calibration error (ECE) is the mean distance from it.</p>"
        f'<div class="vb-diagrams">{figures}</div>'
    )


def _figure(card: ModelCard) -> str:
    title = escaped(card.title or card.name)
    error = card.calibration_error
    caption = title if error is None else f"{title}<small>ECE {100 * error:.1f}%</small>"
    return (
        f'<figure><svg viewBox="0 0 {_LEFT + SIDE + 8} {_TOP + SIDE + _BELOW}" role="img" '
        f'aria-label="{title}: {_spoken(card.reliability)}">{_axes()}'
        f"{''.join(map(_bar, card.reliability))}"
        f'<path class="vb-ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/></svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _axes() -> str:
    ticks = "".join(
        f'<text x="{_x(percent / 100)}" y="{_y(0) + 13}" text-anchor="middle">{percent}</text>'
        f'<text x="{_LEFT - 5}" y="{_y(percent / 100) + 3}" text-anchor="end">{percent}</text>'
        f'<path class="vb-grid" d="M{_x(0)} {_y(percent / 100)}H{_x(1)}"/>'
        for percent in _TICKS
    )
    middle = _y(0.5)
    return (
        f'{ticks}<text x="{_x(0.5)}" y="{_y(0) + 27}" text-anchor="middle">score, %</text>'
        f'<text x="9" y="{middle}" text-anchor="middle" transform="rotate(-90 9 {middle})">'
        "right, %</text>"
    )


def _bar(found: Bin) -> str:
    width = SIDE / 15 - 2
    return (
        f'<rect x="{_x(found.score) - width / 2:.1f}" y="{_y(found.right):.1f}" '
        f'width="{width:.1f}" height="{SIDE * found.right:.1f}"/>'
    )


def _spoken(bins: Sequence[Bin]) -> str:
    told = [f"of {b.count:,} answers scored near {b.score:.0%}, {b.right:.0%} right" for b in bins]
    return "; ".join(told)


def _x(share: float) -> float:
    return _LEFT + SIDE * share


def _y(share: float) -> float:
    return _TOP + SIDE * (1 - share)
