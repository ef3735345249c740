"""DOCX -> its text: body, then footnotes and endnotes; a line for each paragraph or table row.

What was deleted under tracked changes, field codes, headers and footers, and pictures are left out.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from pathlib import Path
from typing import Any
from xml.parsers import expat

from . import RefusedError, tidy

_WORD = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main ",
    "http://purl.oclc.org/ooxml/wordprocessingml/main ",  # "strict" files
)
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006 "
_RELATION = " Relationship"
_ENDS = {"p": "\n", "tr": "\n", "br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}
_AT_ONCE = 1 << 16


def extract(path: Path, *, unpacked: int, ratio: int) -> str:
    """Return the text of a document that unpacks to at most `unpacked` bytes, and to at most
    `ratio` times its packed size.

    Raises RefusedError where it is larger, encrypted or no document.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            main = _main_part(archive, unpacked)
            folder = posixpath.dirname(main)
            notes = [posixpath.join(folder, f"{kind}.xml") for kind in ("footnotes", "endnotes")]
            parts = [main, *(note for note in notes if note in names)]
            _check(archive, parts, unpacked, ratio)
            texts = [_text(archive, part, unpacked) for part in parts]
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, expat.ExpatError) as error:
        raise RefusedError("damaged") from error
    except NotImplementedError as error:  # a way of packing that zipfile does not know
        raise RefusedError("damaged") from error
    except RuntimeError as error:  # zipfile's word for a password
        raise RefusedError("encrypted") from error
    return "\n\n".join(filter(None, texts))


def _main_part(archive: zipfile.ZipFile, unpacked: int) -> str:
    """Return the name of the part that holds the body: where it is, a relation says."""
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.endswith(_RELATION) and attributes.get("Type", "").endswith("/officeDocument"):
            found.append(attributes.get("Target", ""))

    _parse(archive, "_rels/.rels", unpacked, start=start)
    if not found:
        raise RefusedError("damaged")
    return found[0].lstrip("/")


def _check(archive: zipfile.ZipFile, parts: list[str], unpacked: int, ratio: int) -> None:
    """Raise RefusedError where the parts say that they are too large. That they do not lie is seen
    to while they are read."""
    sizes = [archive.getinfo(part) for part in parts]
    if sum(info.file_size for info in sizes) > unpacked:
        raise RefusedError("unpacked")
    if any(info.file_size > ratio * max(info.compress_size, 1 << 12) for info in sizes):
        raise RefusedError("unpacked")


def _text(archive: zipfile.ZipFile, part: str, unpacked: int) -> str:
    pieces: list[str] = []
    open_texts = cells = skipped = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal open_texts, cells, skipped
        tag = _tag(name)
        skipped += _is_skipped(name)
        open_texts += tag == "t"
        cells += tag == "tc"

    def end(name: str) -> None:
        nonlocal open_texts, cells, skipped
        tag = _tag(name)
        if not skipped and tag == "p" and cells:
            pieces.append(" ")  # paragraphs of a cell stay on the line of its row
        elif not skipped and tag in _ENDS:
            pieces.append(_ENDS[tag])
        skipped -= _is_skipped(name)
        open_texts -= tag == "t"
        cells -= tag == "tc"
        if not skipped and tag == "tc":
            pieces.append("\t")

    def characters(data: str) -> None:
        if open_texts and not skipped:
            pieces.append(data)

    _parse(archive, part, unpacked, start=start, end=end, characters=characters)
    return tidy("".join(pieces))


def _tag(name: str) -> str:
    """Return a WordprocessingML element's own name, "" for any other element."""
    return next((name.removeprefix(space) for space in _WORD if name.startswith(space)), "")


def _is_skipped(name: str) -> bool:
    """Say whether an element's text stands elsewhere too: a text box's fallback for old programs,
    or the place that a passage was moved from."""
    return name == f"{_COMPATIBILITY}Fallback" or _tag(name) == "moveFrom"


def _parse(archive: zipfile.ZipFile, part: str, unpacked: int, **handlers: Any) -> None:
    """Parse a part of at most `unpacked` bytes, piece by piece."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handlers.get("start")
    parser.EndElementHandler = handlers.get("end")
    parser.CharacterDataHandler = handlers.get("characters")
    parser.StartDoctypeDeclHandler = _refuse  # no document has entities of its own
    read = 0
    with archive.open(part) as stream:
        while data := stream.read(_AT_ONCE):
            read += len(data)
            if read > unpacked:
                raise RefusedError("unpacked")
            parser.Parse(data)
    parser.Parse(b"", True)


def _refuse(*declaration: Any) -> None:
    raise RefusedError("damaged")
