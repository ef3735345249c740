"""HTML -> the text that a reader of the page sees, a line for each block.

Scripts, styles, comments and markup go. Nothing is fetched, and style sheets are not heeded.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from . import RefusedError, tidy
from .encoding import declared_in, decode

# What is not the page's text, up to its end tag.
_UNSEEN = re.compile(
    "script|style|template|title|noscript|svg|iframe|object|audio|video|canvas|select|datalist|"
    "textarea"
)
_PARAGRAPHS = re.compile(
    "p|h[1-6]|ul|ol|dl|table|blockquote|pre|article|section|main|aside|header|footer|nav|figure|"
    "form|fieldset|hr|details"
)
_LINES = re.compile("br|div|li|dt|dd|tr|caption|address|figcaption|legend|summary|head|body|html")
_CELLS = ("td", "th")


def extract(data: bytes) -> str:
    """Return the text of a page. Raises RefusedError where the bytes are no text."""
    reader = _Reader()
    try:
        reader.feed(decode(data, declared=declared_in(data)).replace("\r\n", "\n"))
    except UnicodeError as error:
        raise RefusedError("damaged") from error
    reader.close()
    return tidy("".join(reader.pieces))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen: list[str] = []
        self._pre = 0
        self._line_begun = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _CELLS:
            self.pieces.append("\t")
        if _UNSEEN.fullmatch(tag):
            self._unseen.append(tag)
        self._pre += tag == "pre"
        self._block(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._block(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            innermost = len(self._unseen) - 1 - self._unseen[::-1].index(tag)
            del self._unseen[innermost:]
        self._pre = max(0, self._pre - (tag == "pre"))
        self._block(tag)

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        self.pieces.append(data if self._pre else re.sub(r"[ \t\n\f\r]+", " ", data))
        self._line_begun = self._line_begun or not data.isspace()

    def _block(self, tag: str) -> None:
        if _PARAGRAPHS.fullmatch(tag):
            self._end_line("\n\n")
        elif tag == "br" or (_LINES.fullmatch(tag) and self._line_begun):
            self._end_line("\n")

    def _end_line(self, end: str) -> None:
        self.pieces.append(end)
        self._line_begun = False
