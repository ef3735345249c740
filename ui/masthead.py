"""What stands at the top of every page: the name, what the page is for, and the way to the other
page."""

from __future__ import annotations

import html


def draw(says: str, link: str, leads_to: str) -> str:
    """Draw the masthead of a page that `says` what it is for, with a link to another page."""
    return (
        '<header class="vb-masthead"><h1><span>Verbatim</span></h1>'
        f"<p>{html.escape(says)}</p>"
        f'<nav><a href="{html.escape(link)}">{html.escape(leads_to)}</a></nav></header>'
    )
