"""What stands at the top of every page: the name, what the page is for, the way to the other pages,
and the list of shortcuts."""

from __future__ import annotations

import html

import gradio as gr

# Relative, so that they lead to the right place behind a proxy, too.
PAGES = {"./": "Ask", "questions": "Many questions", "models": "Models"}

SHORTCUTS = {
    "Enter": "in Question: ask",
    "/": "go to Question",
    "↓ ↑": "choose an answer, from Question or in the list",
    "c": "in the list: copy the chosen answer",
    "Esc": "stop reading",
    "?": "show this list",
}


def build(says: str, here: str) -> None:
    """Put it on the page at address `here`, one of PAGES, that `says` what it is for."""
    gr.HTML(
        draw(says, here),
        js_on_load="verbatim.masthead(element);",
        elem_id="vb-masthead",
        apply_default_css=False,
    )


def draw(says: str, here: str) -> str:
    """Draw the masthead of the page at address `here`, one of PAGES, that `says` what it is for."""
    links = "".join(
        f'<a href="{address}"{" aria-current=page" if address == here else ""}>{title}</a>'
        for address, title in PAGES.items()
    )
    keys = "".join(
        f"<div><dt>{_keys(keys)}</dt><dd>{says}</dd></div>" for keys, says in SHORTCUTS.items()
    )
    return (
        '<header class="vb-masthead"><h1><span>Verbatim</span></h1>'
        f'<p>{html.escape(says)}</p><nav aria-label="Pages">{links}</nav>'
        '<button type="button" class="vb-help" aria-label="Shortcuts">?</button></header>'
        '<dialog class="vb-shortcuts" aria-labelledby="vb-shortcuts-title">'
        f'<h2 id="vb-shortcuts-title">Shortcuts</h2><dl>{keys}</dl>'
        '<label><input type="checkbox" id="vb-single-keys" checked>Use the keys / and ?</label>'
        '<form method="dialog"><button>Close</button></form></dialog>'
        '<p class="vb-unseen" role="status" id="vb-said"></p>'
    )


def _keys(keys: str) -> str:
    return " ".join(f"<kbd>{html.escape(key)}</kbd>" for key in keys.split())
