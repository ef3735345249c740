"""Lines on pages -> paragraphs, as they were before they were set in lines.

Words divided at the end of a line are joined, lines of a paragraph become one line, and what heads
or foots page after page goes. No PDF is known here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_HYPHENS = "-\u2010\u00ad"
_ENDS = tuple(".!?:;…。！？\"'”’)]")
_BULLET = re.compile(r"(?:[•◦▪‣●○■–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_LEADER = re.compile(r"\.[ .]{6,}\w+$")  # from a heading to its page, in a table of contents
_WORD = re.compile(r"\w+(?:-\w+)*")
_RUNNING_ON = 3  # pages; what stands at one place on so many is their head or foot
_EDGE = 2  # rows, from a page's top and bottom, that may be


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and its place in points, `bottom` rising upwards as in PDF."""

    text: str
    left: float
    right: float
    bottom: float
    height: float


def join(pages: Sequence[Sequence[Line]]) -> tuple[str, list[int]]:
    """Return the text of all pages, and where in it each of them begins."""
    pages = _without_running(pages)
    words = {word.lower() for page in pages for line in page for word in _WORD.findall(line.text)}
    usual = _usual_leading(pages)
    pieces: list[str] = []
    starts: list[int] = []
    length, before = 0, ""

    def add(text: str) -> None:
        nonlocal length
        pieces.append(text)
        length += len(text)

    for page in pages:
        breaks = _breaks(page, usual)
        for number, line in enumerate(page):
            if not before:
                seam = ""
            elif number == 0:
                seam = " " if _runs_on(before, line.text) else "\n\n"
            else:
                seam = breaks[number - 1]
            if seam == " " and _hyphenated(before):
                seam = ""
                if _divided(before, line.text, words):
                    length -= 1
                    pieces[-1] = pieces[-1][:-1]
            add(seam)
            if number == 0:
                starts.append(length)
            add(line.text)
            before = line.text
        if not page:
            starts.append(length)
    return "".join(pieces), starts


def _breaks(page: Sequence[Line], usual: float) -> list[str]:
    """Return what stands between each line and the next: a space within a paragraph."""
    breaks: list[str] = []
    for block in _blocks(page, usual):
        left, right = min(line.left for line in block), _right_edge(block, page)
        if breaks or block[0] is not page[0]:
            above = page[len(breaks)]
            columns = block[0].bottom > above.bottom and _runs_on(above.text, block[0].text)
            breaks.append(" " if columns else "\n\n")
        for above, below in pairwise(block):
            breaks.append("\n" if _ends_paragraph(above, below, left, right) else " ")
    return breaks


def _blocks(page: Sequence[Line], usual: float) -> Iterator[list[Line]]:
    """Yield the runs of lines that nothing but their ends tells apart."""
    block: list[Line] = []
    for line in page:
        if block:
            above = block[-1]
            leading = above.bottom - line.bottom
            apart = line.left > above.right or line.right < above.left
            resized = abs(line.height - above.height) > 0.15 * above.height
            if leading <= 0 or leading > usual * line.height or apart or resized:
                yield block
                block = []
        block.append(line)
    if block:
        yield block


def _right_edge(block: Sequence[Line], page: Sequence[Line]) -> float:
    """Return how far to the right a block's lines may go: as far as the longest of them, or as most
    lines that begin where they do."""
    first = block[0]
    rights = [line.right for line in page if abs(line.left - first.left) < 3 * first.height]
    return max(median(rights), *(line.right for line in block))


def _usual_leading(pages: Sequence[Sequence[Line]]) -> float:
    """Return the greatest distance from line to line, in heights, that is no gap."""
    leadings = [
        (above.bottom - below.bottom) / below.height
        for page in pages
        for above, below in pairwise(page)
        if below.height > 0 and 0 < above.bottom - below.bottom < 3 * below.height
    ]
    return min(1.25 * median(leadings), 2.2) if leadings else 2.2


def _ends_paragraph(above: Line, below: Line, left: float, right: float) -> bool:
    """Say whether a line was ended on purpose: the next one begins an item or is indented, or its
    first word would have had room."""
    if _BULLET.match(below.text) or _LEADER.search(above.text):
        return True
    if _hyphenated(above.text):
        return False
    if below.left > left + 0.8 * below.height and above.left < below.left:
        return above.text.endswith(_ENDS)
    first = below.text.split(" ", 1)[0]
    width = (below.right - below.left) / len(below.text)
    return above.right + width * (len(first) + 2) < right


def _runs_on(above: str, below: str) -> bool:
    """Say whether a sentence goes on from the foot of a page or column to the next."""
    return not above.endswith(_ENDS) and below[:1].islower()


def _hyphenated(text: str) -> bool:
    return text[-1:] in _HYPHENS and text[-2:-1].isalnum()


def _divided(above: str, below: str, words: set[str]) -> bool:
    """Say whether the hyphen at the end of a line divides a word, rather than belonging to it."""
    first, second = re.split(r"[^\w-]", above[:-1])[-1], re.split(r"[^\w-]", below, maxsplit=1)[0]
    if not (first[-1:].isalpha() and second[:1].islower()):
        return False
    kept, joined = f"{first}-{second}".lower(), f"{first}{second}".lower()
    return joined in words or kept not in words


def _without_running(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Leave out what heads or foots page after page, page numbers among it."""

    def key(line: Line) -> tuple[str, int]:
        return re.sub(r"\d+", "#", line.text), round(line.bottom)

    seen = Counter(key(line) for page in pages for line in _edges(page))
    enough = max(_RUNNING_ON, len(pages) // 3)
    running = {place for place, count in seen.items() if count >= enough}
    kept = []
    for page in pages:
        edges = _edges(page)
        kept.append([line for line in page if not (line in edges and key(line) in running)])
    return kept


def _edges(page: Sequence[Line]) -> set[Line]:
    """Return the lines at the top and bottom of a page that stand apart from all others."""
    rows = sorted({round(line.bottom) for line in page})
    apart: set[int] = set()
    for inwards in (rows, rows[::-1]):
        for row, following in pairwise(inwards[: _EDGE + 1]):
            if abs(following - row) < 1.5 * median(line.height for line in page):
                break
            apart.add(row)
    return {line for line in page if round(line.bottom) in apart}
