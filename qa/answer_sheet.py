"""What many questions got: a row for each, figures over all, as JSON and as CSV.

Where the answers people gave are known, every row is marked with exact match and F1. The questions
are read in questionnaire.py.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from qa import squad
from qa.errors import InputError, QAError, StoppedError, TimeLimitError
from qa.questionnaire import Item
from qa.reader import Answer, Reader, Result

# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """A question with its result, or with what was wrong with it. `may_be_none` says that there
    are questions without an answer among those asked, so that none is an answer, too."""

    item: Item
    result: Result | None = None
    error: str = ""
    may_be_none: bool = False

    @property
    def finished(self) -> bool:
        return bool(self.error) or (self.result is not None and self.result.complete)

    @property
    def marked(self) -> bool:
        return self.item.references is not None

    @property
    def predicts_none(self) -> bool:
        """That there is no answer is what was answered."""
        return self.may_be_none and self.result is not None and self.result.probably_no_answer

    @property
    def best(self) -> Answer | None:
        """The answer that is marked, None where none was given."""
        if self.result is None or self.predicts_none:
            return None
        return next(iter(self.result.answers), None)

    def exact_match(self) -> float | None:
        """Return 1.0 or 0.0, None where no reference is known."""
        return self._mark(squad.exact_match)

    def f1(self) -> float | None:
        """Return the F1 of words, 0 to 1, None where no reference is known."""
        return self._mark(squad.f1)

    def _mark(self, metric: Callable[[str, tuple[str, ...]], float]) -> float | None:
        if self.item.references is None:
            return None
        # What could not be asked was not answered, not even by "no answer".
        predicted = self.best.text if self.best else ""
        return 0.0 if self.error else metric(predicted, self.item.references)

    def to_dict(self) -> dict[str, Any]:
        """Return all that is known of this question."""
        item, result = self.item, self.result
        found: dict[str, Any] = {"id": item.id, "question": item.question, "passage": item.source}
        if result is not None:
            found["answers"] = [
                {
                    "text": answer.text,
                    "start": answer.start,
                    "end": answer.end,
                    "score": answer.score,
                    **({"page": page} if (page := item.passage.page_at(answer.start)) else {}),
                }
                for answer in result.answers
            ]
            found["no_answer"] = result.no_answer
        if item.references is not None:
            found |= {
                "references": list(item.references),
                "exact_match": self.exact_match(),
                "f1": self.f1(),
            }
        return found | ({"error": self.error} if self.error else {})


def may_be_none(items: Sequence[Item]) -> bool:
    """Say whether some of these questions are known to have no answer."""
    return any(item.references == () for item in items)


def ask(
    reader: Reader, items: Sequence[Item], top_k: int, *, pause: float = math.inf
) -> Generator[Row, None, None]:
    """Answer one item after the other: return rows that are `finished`, and while a passage is read
    others that are not, as many as `Reader.stream` gives results so far. What is wrong with an item
    stands in its row.

    Raises QAError where all together takes more than the reader's `max_seconds`, pauses included;
    of a question that is asked alone, its row says so.
    """
    since = time.monotonic()
    none = may_be_none(items)
    for item in items:
        try:
            if time.monotonic() > since + reader.max_seconds:
                raise TimeLimitError
            yield from _rows(reader, item, top_k, pause, none, since)
        except TimeLimitError as error:
            if len(items) == 1:
                yield Row(item, error=str(error), may_be_none=none)
                return
            raise QAError(
                f"Answering takes longer than {reader.max_seconds:,} seconds, the limit here; "
                "ask these questions in parts."
            ) from error


def _rows(
    reader: Reader, item: Item, top_k: int, pause: float, none: bool, since: float
) -> Generator[Row, None, None]:
    try:
        item.check()
        for result in reader.stream(
            item.question, item.passage.text, top_k, pause=pause, since=since
        ):
            yield Row(item, result, may_be_none=none)
    except (StoppedError, TimeLimitError):
        raise
    except QAError as error:
        if isinstance(error, InputError) and error.field == "top_k":
            raise  # is wrong with all of them
        yield Row(item, error=str(error), may_be_none=none)


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how many questions were asked and had something wrong with them, and where references
    are known, exact match and F1 in percent over those."""
    marked = [row for row in rows if row.marked]
    found: dict[str, Any] = {
        "questions": len(rows),
        "errors": sum(bool(row.error) for row in rows),
    }
    if marked:
        found |= {
            "with_reference": len(marked),
            "exact_match": 100 * sum(row.exact_match() or 0 for row in marked) / len(marked),
            "f1": 100 * sum(row.f1() or 0 for row in marked) / len(marked),
        }
    return found


def to_dict(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the figures and all rows."""
    return {**figures(rows), "rows": [row.to_dict() for row in rows]}


def to_csv(rows: Sequence[Row]) -> str:
    """Return the rows with the best answer of each, for spreadsheets: no cell becomes a formula."""
    columns = ["id", "question", "passage", "answer", "score", "no_answer", "start", "end", "page"]
    if any(row.marked for row in rows):
        columns += ["reference", "exact_match", "f1"]
    columns += ["error"]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(columns)
    for row in rows:
        cells = row.to_dict()
        if row.best:
            best = cells["answers"][0]
            cells |= {**best, "answer": best["text"]}
        cells["reference"] = " | ".join(cells.get("references", []))
        table.writerow([cell(cells.get(column)) for column in columns])
    return out.getvalue()


def cell(value: object) -> object:
    """Return a value as a spreadsheet shows it and does not compute it."""
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"  # for a spreadsheet that is text, and the apostrophe is not shown
    return "" if value is None else value
