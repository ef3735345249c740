"""How far something is, drawn: a bar while it goes on, and how long the passage is."""

from __future__ import annotations

from ui.text import counted


def draw_bar(label: str, done: int, total: int, says: str) -> str:
    """Draw a bar that is `done` of `total` long, and beside it what it says to those who see it;
    for the others it has a label."""
    return (
        f'<p class="vb-progress"><progress aria-label="{label}" value="{done}" max="{total}">'
        f'</progress><span aria-hidden="true">{says}</span></p>'
    )


def draw_count(characters: int, tokens: int | None, pages: int = 0) -> str:
    """Draw how long the passage is. What has not been counted is left out."""
    counts = {"page": pages or None, "character": characters, "token": tokens}
    told = ", ".join(counted(count, noun) for noun, count in counts.items() if count is not None)
    return f'<p class="vb-count">{told}</p>'
