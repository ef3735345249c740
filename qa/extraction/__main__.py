"""The process that reads one file: its path and limits as JSON in, text or what is wrong out.

Run by qa.documents in the folder qa, so that this package is `extraction` and qa's own is not
loaded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from . import RefusedError


def main() -> None:
    """Write {"text", "pages"} or {"wrong"} to standard output. A crash speaks for itself."""
    task = json.load(sys.stdin)
    json.dump(_read(**task), sys.stdout)


def _read(kind: str, path: str, seconds: int, memory: int, **limits: int) -> dict[str, Any]:
    try:
        text, pages = _extract(kind, Path(path), seconds, memory, limits)
    except RefusedError as error:
        return {"wrong": error.wrong}
    return {"text": text, "pages": pages}


def _extract(
    kind: str, file: Path, seconds: int, memory: int, limits: dict[str, int]
) -> tuple[str, list[int]]:
    match kind:
        case "pdf":
            from . import lines, pdf  # each kind loads what it needs, before memory is limited

            _limit(seconds, memory)
            pages, characters = limits["pages"], limits["characters"]
            return lines.join(pdf.extract(file, pages=pages, characters=characters))
        case "docx":
            from . import docx

            _limit(seconds, memory)
            unpacked, ratio = limits["unpacked"], limits["ratio"]
            return docx.extract(file, unpacked=unpacked, ratio=ratio), []
        case _:
            from . import web

            _limit(seconds, memory)
            return web.extract(file.read_bytes()), []


def _limit(seconds: int, memory: int) -> None:
    """End this process by itself, should it take too much and nobody be left to end it."""
    try:
        import resource
    except ImportError:  # Windows has no such limits; there the parent's time limit must do
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


if __name__ == "__main__":
    main()
