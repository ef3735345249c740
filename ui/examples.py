"""The passages with questions that the page offers. Read from a folder; nothing is asked here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """A passage with questions about it, at least one."""

    title: str
    passage: str
    questions: tuple[str, ...]


def read(folder: Path = FOLDER) -> tuple[Example, ...]:
    """Read the examples that questions.json lists, in its order."""
    entries = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    return tuple(
        Example(
            title=entry["title"],
            passage=(folder / file).read_text(encoding="utf-8").strip(),
            questions=tuple(item["question"] for item in entry["questions"]),
        )
        for file, entry in entries.items()
    )
