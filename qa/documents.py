"""Files that people have -> text to ask about: .txt, .md, .html, .pdf, .docx.

What a file is, its content says; where its name says otherwise, it is refused. Plain text is
decoded here. What needs a parser is read in a process of its own (qa/extraction), so that no file
can take more time or memory than the limits say, or bring down more than its own reading.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qa.errors import InputError, QAError
from qa.extraction.encoding import decode
from qa.reader import MAX_CHARACTERS

__all__ = ["SUFFIXES", "Document", "Limits", "decode", "read"]

SECONDS = 60  # a thousand dense pages took 20 on two cores busy with other things
MEMORY = 1_000_000_000  # bytes; a thousand dense pages took 100 million
# Two at a time, whoever asks: each may take all that memory.
_READING = threading.BoundedSemaphore(2)

Kind = Literal["text", "pdf", "docx", "html"]

_NAMES = {"text": "plain-text", "pdf": "PDF", "docx": "DOCX", "html": "HTML"}
_KINDS: dict[str, Kind] = {
    ".txt": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
}
SUFFIXES = tuple(_KINDS)
_HEAD = 1024  # bytes, among which a PDF says that it is one
_SAVE_AS = "save it as PDF, DOCX, HTML or plain text and try again"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is read at most: bytes of a file, pages, characters of text; bytes that a packed file
    unpacks to, and how many times its size that may be."""

    bytes: int = 50_000_000
    pages: int = 2_000
    characters: int = MAX_CHARACTERS
    unpacked: int = 200_000_000
    ratio: int = 200


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text. `pages` are the offsets at which its pages begin, in order; none where it has
    no pages."""

    text: str
    pages: tuple[int, ...] = ()

    def page_at(self, offset: int) -> int | None:
        """Return the page, counted from 1, on which the character at `offset` stands."""
        return bisect_right(self.pages, offset) if self.pages else None


def read(path: Path, limits: Limits = LIMITS) -> Document:
    """Read a file's text. Raises InputError, one sentence that says what to do, where it cannot be
    had within the limits."""
    name = path.name
    try:
        with path.open("rb") as file:
            _check_size(path, path.stat().st_size, limits)
            head = file.read(_HEAD)
            if not head:
                raise InputError(f"{name} is empty; choose another file.")
            kind = _kind(path, head)
            if kind == "text":
                # A pipe has no size to check before, and nothing of it can be read twice.
                data = head + file.read(limits.bytes + 1 - len(head))
                _check_size(path, len(data), limits)
                document = _plain(path, data)
            elif path.is_file():
                document = _parsed(path, kind, limits)
            else:
                raise InputError(f"{name} is no file but a pipe; save what comes out of it first.")
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}.") from error
    if not document.text.strip():
        raise InputError(
            f"{name} has no text in it; if there are pictures of text, have them recognized (OCR)."
            if kind == "pdf"
            else f"{name} has no text in it; choose another file."
        )
    if len(document.text) > limits.characters:
        raise _too_long(name, limits)
    return document


def _kind(path: Path, head: bytes) -> Kind:
    """Say what a file is. Raises InputError where that is nothing that can be read, or not what its
    name says."""
    expected = _KINDS.get(path.suffix.lower())
    found: Kind | None = None
    if b"%PDF-" in head and (expected == "pdf" or head.lstrip().startswith(b"%PDF-")):
        found = "pdf"
    elif head.startswith(b"PK\x03\x04"):
        if expected != "docx":
            raise InputError(f"{path.name} is a packed file; unpack it, or {_SAVE_AS}.")
        found = "docx"
    elif head.startswith(b"\xd0\xcf\x11\xe0"):
        # Office's old container, which newer versions put protected files in.
        raise InputError(
            f"{path.name} is an old Word file or protected by a password; save it as DOCX without "
            "one and try again."
        )
    elif head.startswith(b"{\\rtf"):
        raise InputError(f"{path.name} is an RTF file; {_SAVE_AS}.")
    elif expected in (None, "text", "html"):
        found = expected or "text"
    if found is None or expected not in (None, found):
        claimed = _NAMES[str(expected)]
        raise InputError(f"{path.name} is no {claimed} file, whatever its name says; {_SAVE_AS}.")
    return found


def _check_size(path: Path, size: int, limits: Limits) -> None:
    if size > limits.bytes:
        raise InputError(
            f"{path.name} has more than {limits.bytes / 1e6:,.0f} MB; ask about a part of it."
        )


def _plain(path: Path, data: bytes) -> Document:
    try:
        return Document(decode(data))
    except UnicodeError as error:
        raise InputError(f"{path.name} is no text; {_SAVE_AS}.") from error


def _parsed(path: Path, kind: Kind, limits: Limits) -> Document:
    """Have a file read by another process, and give that up when its time is over."""
    task = {
        "kind": kind,
        "path": str(path.resolve()),
        "seconds": SECONDS,
        "memory": MEMORY,
        "pages": limits.pages,
        "characters": limits.characters,
        "unpacked": limits.unpacked,
        "ratio": limits.ratio,
    }
    try:
        with _READING:
            done = subprocess.run(
                [sys.executable, "-m", "extraction"],
                cwd=Path(__file__).parent,
                env=_environment(),
                input=json.dumps(task).encode(),
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{path.name} takes longer than {SECONDS} seconds to read; ask about a part of it."
        ) from error
    except OSError as error:
        raise QAError(f"{path.name} cannot be read now: {error.strerror}; try again.") from error
    if "text" in answer:
        return Document(answer["text"], tuple(answer["pages"]))
    raise _refusal(path.name, kind, answer.get("wrong"), limits)


def _environment() -> dict[str, str]:
    """Return ours, but one in which Python finds modules in its working directory."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def _refusal(name: str, kind: Kind, wrong: str | None, limits: Limits) -> InputError:
    match wrong:
        case "encrypted":
            return InputError(
                f"{name} is protected by a password; save it without one and try again."
            )
        case "pages":
            return InputError(
                f"{name} has more than {limits.pages:,} pages; ask about a part of it."
            )
        case "characters":
            return _too_long(name, limits)
        case "unpacked":
            return InputError(
                f"{name} unpacks to more than a document of its size may have; {_SAVE_AS}."
            )
        case _:  # found damaged, or its reading came to grief
            return InputError(f"{name} is damaged or no {_NAMES[kind]} file; {_SAVE_AS}.")


def _too_long(name: str, limits: Limits) -> InputError:
    return InputError(
        f"{name} has more than {limits.characters:,} characters; ask about a part of it."
    )
