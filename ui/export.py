"""A result as text to be taken elsewhere: JSON, CSV, Markdown. Nothing is drawn or copied here."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import regex

from qa import Answer, Result
from qa.answer_sheet import cell
from qa.documents import Document
from ui.sentences import around

# What Markdown would take for its own; after a line break, also what begins a list or a heading.
_MARKDOWN = regex.compile(r"([\\`*_\[\]<>|~&#])|(?<=^)([-+])|(?<=^\d+)([.)])", regex.MULTILINE)
_SPACE = regex.compile(r"\s+")


def formats(result: Result, question: str, passage: str, document: Document) -> dict[str, str]:
    """Return the result in each format, by name."""
    return {
        "JSON": as_json(result, question, document),
        "CSV": as_csv(result, document),
        "Markdown": as_markdown(result, question, passage, document),
    }


def as_json(result: Result, question: str, document: Document) -> str:
    """Return what `python -m qa ask --json` prints, with the question, and pages where there
    are."""
    told: dict[str, Any] = {"question": question, **result.to_dict()}
    if document.pages:
        for entry in told["answers"]:
            entry["page"] = document.page_at(entry["start"])
    return json.dumps(told, ensure_ascii=False, indent=2)


def as_csv(result: Result, document: Document) -> str:
    """Return a line for each answer, below the names of the columns."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["rank", "answer", "score", "start", "end", "page"])
    for rank, answer in enumerate(result.answers, 1):
        page = document.page_at(answer.start)
        writer.writerow(
            [rank, cell(answer.text), answer.score, answer.start, answer.end, page or ""]
        )
    return file.getvalue()


def as_markdown(result: Result, question: str, passage: str, document: Document) -> str:
    """Return the question and a numbered list of answers, each in its sentence."""
    return "\n".join([f"**{_escaped(question)}**", "", *_items(result, passage, document)]) + "\n"


def _items(result: Result, passage: str, document: Document) -> Iterator[str]:
    for rank, answer in enumerate(result.answers, 1):
        page = document.page_at(answer.start)
        place = f", page {page}" if page else ""
        yield f"{rank}. **{_escaped(answer.text)}** ({answer.score:.1%}{place})  "
        yield f"   {_quoted(answer, passage)}"


def _quoted(answer: Answer, passage: str) -> str:
    sentence = around(passage, answer.start, answer.end)
    before, after = "… " * sentence.cut_before, " …" * sentence.cut_after
    return f"> {before}{_escaped(passage[sentence.start : sentence.end])}{after}"


def _escaped(text: str) -> str:
    """Write a text on one line so that Markdown shows it as it is."""
    line = _SPACE.sub(" ", text).strip()
    return _MARKDOWN.sub(lambda match: "\\" + match[0], line)
