"""Many questions at once: a list, a CSV or a file of SQuAD's layout -> items to ask, each with the
passage it is asked of.

What kind a text is, it shows by itself. Nothing is answered here: see answer_sheet.py.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from qa.documents import Document
from qa.errors import InputError

MOST_QUESTIONS = 1_000
MOST_TEXT = 5_000_000  # characters of the questions with what stands beside them
MOST_READ = 50_000_000  # characters read in all: half an hour of the default model
NOTHING = Document("")

# The columns of a CSV, by the names that people give them.
_COLUMNS = {
    "question": ("question", "questions"),
    "passage": ("passage", "context", "text"),
    "file": ("file", "passage file", "passage_file", "document"),
    "id": ("id",),
    "answer": ("answer", "answers", "reference", "references"),
}
_BETWEEN_ANSWERS = "|"
_SEPARATORS = ",;\t"
_BLANK = " \r\n"  # before the first line; a tab there is an empty first cell
_JSON = re.compile(r"\s*(\{|\[\s*[\[{])")  # but not a list that begins "[1] Who…"

csv.field_size_limit(MOST_TEXT)  # a cell may hold a whole passage; Python's own limit is 131,072


@dataclass(frozen=True, slots=True)
class Item:
    """A question to ask of a passage. `source` is what its passage is called, "" where it has no
    name; `references` are the texts people gave as its answer: none where the passage has no
    answer, None where nobody said. `wrong` says why it cannot be asked."""

    id: str
    question: str
    passage: Document = field(repr=False)
    source: str = ""
    references: tuple[str, ...] | None = None
    wrong: str = ""

    def check(self) -> None:
        """Raise InputError where it cannot be asked."""
        if self.wrong:
            raise InputError(self.wrong)


def read(
    text: str,
    passage: Document = NOTHING,
    files: Mapping[str, Document] | None = None,
    most: int = MOST_QUESTIONS,
) -> list[Item]:
    """Read questions, at most `most` that read MOST_READ characters together.

    `passage` is asked where a question has none of its own; `files` are the passages that a CSV may
    name. Raises InputError where the text is neither a list, a CSV nor of SQuAD's layout.
    """
    if not text.strip():
        raise InputError("There are no questions; type them, one a line, or open a file.")
    if len(text) > MOST_TEXT:
        raise InputError(
            f"The questions have {len(text):,} characters, the limit is {MOST_TEXT:,}; ask them in "
            "parts."
        )
    text = text.lstrip("\ufeff")
    if _JSON.match(text):
        found = _squad(text)
    elif header := _header(text):
        found = _table(text, header, passage, files or {})
    else:
        lines = filter(None, map(str.strip, text.splitlines()))
        found = (Item(str(number), line, passage) for number, line in enumerate(lines, 1))
    items = list(islice(found, most + 1))  # millions fit into the text, and take their time
    _check(items, most)
    return items


def _check(items: list[Item], most: int) -> None:
    if not items:
        raise InputError("There are no questions in this file; put one in each row.")
    if len(items) > most:
        raise InputError(
            f"There are more than {most:,} questions, the limit here; ask them in parts."
        )
    characters = sum(len(item.passage.text) for item in items)
    if characters > MOST_READ:
        raise InputError(
            f"To answer, {characters:,} characters would be read, since every question reads its "
            f"whole passage; the limit is {MOST_READ:,}, so ask them in parts."
        )


def _squad(text: str) -> Iterator[Item]:
    try:
        for article in json.loads(text)["data"]:
            for paragraph in article["paragraphs"]:
                passage = Document(str(paragraph["context"]))
                for asked in paragraph["qas"]:
                    yield Item(
                        id=str(asked.get("id", "")),
                        question=str(asked["question"]),
                        passage=passage,
                        source=str(article.get("title", "")),
                        references=_references(asked),
                    )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            "These questions are JSON but not in SQuAD's layout (data, paragraphs, qas); put them "
            "in it, or make them a list or CSV."
        ) from error


def _references(asked: Mapping[str, Any]) -> tuple[str, ...] | None:
    if asked.get("is_impossible"):
        return ()
    return tuple(str(answer["text"]) for answer in asked["answers"]) if "answers" in asked else None


def _header(text: str) -> dict[str, int]:
    """Return where the columns of a CSV stand, nothing where the first line is not its header."""
    line = text.lstrip(_BLANK).partition("\n")[0]
    names = [cell.strip().lower() for cell in next(_rows(line, _separator(line)), [])]
    columns = {
        column: names.index(name)
        for column, called in _COLUMNS.items()
        for name in reversed(called)  # of two, the one that is named first counts
        if name in names
    }
    return columns if "question" in columns else {}


def _separator(line: str) -> str:
    """Return what stands between the cells of a header, none of which holds a separator; where it
    has one column, what stands in no text."""
    found = max(_SEPARATORS, key=line.count)
    return found if found in line else "\x1f"


def _table(
    text: str, header: dict[str, int], passage: Document, files: Mapping[str, Document]
) -> Iterator[Item]:
    text = text.lstrip(_BLANK)
    rows = _rows(text, _separator(text.partition("\n")[0]))
    next(rows)
    inline: dict[str, Document] = {}
    for number, row in enumerate(rows, 1):
        cells = {column: row[place].strip() for column, place in header.items() if place < len(row)}
        if not any(cells.values()):
            continue
        own, name = cells.get("passage", ""), cells.get("file", "")
        wrong = ""
        if own:
            document = inline.setdefault(own, Document(own))
        elif name:
            document = files.get(name, NOTHING)
            if name not in files:
                wrong = f"There is no passage file {name}; open it beside the passage."
        else:
            document = passage
        answers = cells.get("answer", "").split(_BETWEEN_ANSWERS)
        yield Item(
            id=cells.get("id", "") or str(number),
            question=cells.get("question", ""),
            passage=document,
            source="" if own else name,
            references=tuple(filter(None, map(str.strip, answers))) or None,
            wrong=wrong,
        )


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except csv.Error as error:
        raise InputError(
            "These questions cannot be read as CSV; quote cells that have line breaks or quotes."
        ) from error
