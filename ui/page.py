"""The pages of the app: which there are and what they share. What stands on each is its own."""

from __future__ import annotations

from pathlib import Path

from ui import ask, many, models_page, uploads
from ui.blocks import Blocks
from ui.limits import MOST_SENT
from ui.readers import Readers

HERE = Path(__file__).resolve().parent
# Seconds: how often files are looked for that were sent and never opened, and how old they get. The
# others are removed as soon as they are read.
LEFT_BEHIND = (300, 600)


def head() -> str:
    """Return what goes into the head of every page: the script that components call into."""
    script = (HERE / "script.js").read_text(encoding="utf-8")
    return f"<script>{script}</script>"


def build(readers: Readers, *, may_fetch: bool = False) -> Blocks:
    """Build all pages; on the models page visitors `may_fetch` models or not."""
    uploads.keep_tidy(MOST_SENT * readers.limits.file_bytes, *LEFT_BEHIND)
    # Gradio removes, when the app stops, what is there then.
    page = Blocks(title="Verbatim", fill_width=True, delete_cache=LEFT_BEHIND)
    with page:
        ask.build(page, readers)
    many.build(page, readers)
    models_page.build(page, readers, may_fetch=may_fetch)
    return page
