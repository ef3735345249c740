"""How the results of many questions are shown: a table, figures over all, and how far they are.

From rows to strings and values; nothing is asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr

from qa import answer_sheet
from qa.answer_sheet import Row
from ui.text import counted, escaped

_NOTHING_ASKED = (
    '<div class="vb-empty vb-teach"><p>The answers will fill a table here.</p><ul>'
    "<li>A list has a question on each line; all are asked of the passage.</li>"
    "<li>A CSV has a column <code>question</code>, and if you like <code>passage</code> or "
    "<code>file</code> (the name of a passage file you opened), <code>id</code>, and "
    "<code>answer</code>: what you expect, so that the answers are marked. Several that would be "
    "right are divided by <code>|</code>.</li>"
    "<li>A file of SQuAD’s layout has it all.</li></ul>"
)

_NO_ANSWER = "(no answer)"  # in words, where a blank could be anything

# Widths in pixels, at which the first five stand side by side on a laptop; types.
_COLUMNS = {
    "#": (52, "number"),
    "Question": (200, "str"),
    "Answer": (180, "str"),
    "Score": (84, "number"),
    "No answer": (108, "number"),
    "EM": (72, "number"),
    "F1": (72, "number"),
    "Expected": (200, "str"),
    "Passage": (160, "str"),
    "Page": (80, "number"),
    "Trouble": (280, "str"),
}


def draw_invitation(most: int) -> str:
    """Say what can be asked, at most so many questions at once."""
    return f"{_NOTHING_ASKED}<p>At most {counted(most, 'question')} at once.</p></div>"


def update(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what makes the table show these rows, with the columns that they call for."""
    columns = _columns(rows)
    cells = [
        [_cell(row, number, column) for column in columns] for number, row in enumerate(rows, 1)
    ]
    changes: dict[str, Any] = gr.update(
        value={"headers": columns, "data": cells},
        datatype=[_COLUMNS[column][1] for column in columns],
        column_widths=[_COLUMNS[column][0] for column in columns],
        visible=bool(rows),
    )
    return changes


def draw_reading(asked: int) -> str:
    return f'<p class="vb-unseen" role="status">Asking {counted(asked, "question")}</p>'


def draw_summary(rows: Sequence[Row], asked: int, seconds: float) -> str:
    """Draw figures over all rows, and say once that they are there."""
    found = answer_sheet.figures(rows)
    told = {"Questions": f"{len(rows):,}" if len(rows) == asked else f"{len(rows):,} of {asked:,}"}
    if found["errors"]:
        told["Not answered"] = f"{found['errors']:,}"
    if "f1" in found:
        told["Exact match"] = f"{found['exact_match']:.1f}"
        told["F1"] = f"{found['f1']:.1f}"
        if found["with_reference"] < len(rows):
            told["Marked"] = f"{found['with_reference']:,}"
    told["In all"] = f"{seconds:.1f} s"
    figures = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in told.items())
    stopped = "Stopped. " if len(rows) < asked else ""
    return (
        f'<p class="vb-unseen" role="status">{stopped}{counted(len(rows), "question")} asked.</p>'
        f'<dl class="vb-figures">{figures}</dl>'
    )


def draw_shelf(shelf: Iterable[str]) -> str:
    """Draw the names of the passage files that are open."""
    names = ", ".join(f"<code>{escaped(name)}</code>" for name in shelf)
    return f'<p class="vb-shelf">Open: {names}</p>' if names else ""


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns in which something stands."""
    marked = any(row.marked for row in rows)
    wanted = {
        "No answer": any(row.result and row.result.no_answer is not None for row in rows),
        "Expected": marked,
        "EM": marked,
        "F1": marked,
        "Passage": any(row.item.source for row in rows),
        "Page": any(row.item.passage.pages for row in rows),
        "Trouble": any(row.error for row in rows),
    }
    return [column for column in _COLUMNS if wanted.get(column, True)]


def _cell(row: Row, number: int, column: str) -> str | float | None:
    best = row.best
    match column:
        case "#":
            return number
        case "Question":
            return row.item.question
        case "Answer":
            return best.text if best else _NO_ANSWER if row.predicts_none else ""
        case "Score":
            return round(best.score, 3) if best else None
        case "No answer":
            chance = row.result.no_answer if row.result else None
            return None if chance is None else round(chance, 3)
        case "Expected":
            references = row.item.references
            return _NO_ANSWER if references == () else " | ".join(references or ())
        case "EM":
            return row.exact_match()
        case "F1":
            f1 = row.f1()
            return None if f1 is None else round(f1, 3)
        case "Passage":
            return row.item.source
        case "Page":
            return row.item.passage.page_at(best.start) if best else None
        case _:
            return row.error
