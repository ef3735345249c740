"""How far something is, drawn: the bar while a passage is read, and how long the passage is."""

from __future__ import annotations

from qa import Result


def draw_progress(result: Result) -> str:
    """Draw how much of a passage has been read."""
    share = f"{result.read / result.windows:.0%}"
    return (
        f'<p class="vb-progress"><progress aria-label="Read" value="{result.read}" '
        f'max="{result.windows}">{share}</progress><span aria-hidden="true">{share} read</span></p>'
    )


def draw_count(characters: int, tokens: int | None, pages: int = 0) -> str:
    """Draw how long the passage is. What has not been counted is left out."""
    counts = {"page": pages or None, "character": characters, "token": tokens}
    told = ", ".join(
        f"{count:,} {noun if count == 1 else noun + 's'}"
        for noun, count in counts.items()
        if count is not None
    )
    return f'<p class="vb-count">{told}</p>'
