"""Bytes of a text file -> text, whatever encoding they are in."""

from __future__ import annotations

import codecs
import re

# The longer first: UTF-32's little-endian mark begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 4096
# Control characters that no text has, bar the few that stray into some: more than one in a hundred
# says that these bytes are no text.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\ufffe\uffff]")
_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE
)


def decode(data: bytes, *, declared: str | None = None) -> str:
    """Decode by byte order mark, else as UTF-16 where every other byte is zero, else as `declared`,
    UTF-8 or Windows-1252, the first that fits.

    Raises UnicodeError where the bytes are no text.
    """
    text = _decode(data, declared)
    head = text[:_LOOKED_AT]
    if len(_CONTROL.findall(head)) * 100 > len(head):
        raise UnicodeError("control characters")
    return text


def declared_in(data: bytes) -> str | None:
    """Return the encoding that a web page says it is in, if Python knows it, as browsers take it: a
    page that could be read so far is not in UTF-16 (https://html.spec.whatwg.org), and Latin-1
    means Windows-1252 (https://encoding.spec.whatwg.org)."""
    found = _DECLARED.search(data[:_LOOKED_AT])
    try:
        name = codecs.lookup(found[1].decode("ascii")).name if found else None
    except LookupError:
        return None
    if name and name.startswith(("utf-16", "utf-32")):
        return "utf-8"
    return "cp1252" if name in ("iso8859-1", "ascii") else name


def _decode(data: bytes, declared: str | None) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    even, odd = data[:_LOOKED_AT:2], data[1:_LOOKED_AT:2]
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) * 2 > len(zeros) and not others.count(0) * 20 > len(others):
            return data.decode(encoding)
    # Latin-1 has a character for the five bytes that Windows-1252 leaves out.
    for encoding in (*([declared] if declared else []), "utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except (UnicodeError, LookupError):  # LookupError: a codec that is not one of text
            continue
    return data.decode("latin-1")
