"""PDF -> the lines of its pages, with the places that lines.py makes paragraphs from.

PDFium, which browsers read PDFs with, does the work. Nothing is drawn, no script is run, no text is
read off pictures.
"""

from __future__ import annotations

from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from . import RefusedError
from .lines import Line

_HYPHEN = 2  # what PDFium puts for a hyphen at the end of a line, instead of a line break


def extract(path: Path, *, pages: int, characters: int) -> list[list[Line]]:
    """Return the lines of each page.

    Raises RefusedError where it is encrypted, damaged or larger than that.
    """
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise RefusedError("encrypted") from error
        raise RefusedError("damaged") from error
    with document:
        if len(document) > pages:
            raise RefusedError("pages")
        lines_of_pages: list[list[Line]] = []
        for index in range(len(document)):
            try:
                page = document[index]
                text = page.get_textpage()
            except pypdfium2.PdfiumError:  # one damaged page does not spoil the others
                lines_of_pages.append([])
                continue
            characters -= text.count_chars()
            if characters < 0:
                raise RefusedError("characters")
            lines_of_pages.append(_lines(text))
            text.close()
            page.close()
    return lines_of_pages


def _lines(page: pypdfium2.PdfTextPage) -> list[Line]:
    units = [raw.FPDFText_GetUnicode(page, i) for i in range(page.count_chars())]
    lines, start = [], 0
    for stop, unit in enumerate([*units, ord("\n")]):
        if unit not in (ord("\n"), _HYPHEN):
            continue
        # PDFium counts UTF-16 units.
        found = "".join(map(chr, units[start:stop])).replace("\0", "")
        text = found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = " ".join(text.split())
        if text:
            seen = [i for i in range(start, stop) if not chr(units[i]).isspace()]
            # Bullets and quotation marks are often of another font.
            typical = next((i for i in seen if chr(units[i]).isalnum()), seen[0])
            _, bottom, _, top = page.get_charbox(typical, loose=True)
            left, right = page.get_charbox(seen[0])[0], page.get_charbox(seen[-1])[2]
            hyphen = "-" if unit == _HYPHEN else ""
            lines.append(Line(text + hyphen, left, right, bottom, top - bottom))
        start = stop + 1
    return lines
