"""What is taken elsewhere of a result: JSON, CSV and Markdown that say what the page said."""

import csv
import io
import json

import pytest
from hypothesis import given

from qa import Answer, Result
from qa.documents import Document
from tests.test_answers_html import result_of
from tests.texts import any_text
from ui.export import as_csv, as_json, as_markdown, formats

PASSAGE = "The mill was built in 1711.\nIt was sold to Ann *Reed* for −5 € in 1844."
PAGES = Document(PASSAGE, (0, 28))
NONE = Document("")


def result() -> Result:
    return result_of(PASSAGE, (43, 53), (22, 26))


def test_json_is_the_command_lines_with_question_and_pages() -> None:
    told = json.loads(as_json(result(), "Who?", PAGES))
    assert told["question"] == "Who?"
    assert [answer.pop("page") for answer in told["answers"]] == [2, 1]
    assert {**told, "question": None} == {
        **json.loads(json.dumps(result().to_dict())),
        "question": None,
    }
    assert "page" not in json.loads(as_json(result(), "Who?", NONE))["answers"][0]


def test_csv_has_a_line_for_each_answer() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(result(), PAGES))))
    assert [(row["rank"], row["answer"], row["page"]) for row in rows] == [
        ("1", "Ann *Reed*", "2"),
        ("2", "1711", "1"),
    ]
    assert [PASSAGE[int(row["start"]) : int(row["end"])] for row in rows] == ["Ann *Reed*", "1711"]
    assert float(rows[0]["score"]) == result().answers[0].score


@pytest.mark.parametrize("text", ["=1+1", "+1", "@SUM(A1)", "-SUM(A1)", " =1", "\tx", "-1+cmd|x"])
def test_no_cell_becomes_a_formula(text: str) -> None:
    found = result_of(text, answers=(Answer(text, 0, len(text), 0.5),))
    (row,) = csv.DictReader(io.StringIO(as_csv(found, NONE)))
    assert row["answer"] == f"'{text}"


def test_markdown_shows_what_was_written() -> None:
    assert as_markdown(result(), "Who <b>?", PASSAGE, PAGES).splitlines() == [
        r"**Who \<b\>?**",
        "",
        r"1. **Ann \*Reed\*** (80.0%, page 2)  ",
        r"   > It was sold to Ann \*Reed\* for −5 € in 1844.",
        "2. **1711** (40.0%, page 1)  ",
        "   > The mill was built in 1711.",
    ]


@given(any_text)
def test_any_text_keeps_the_number_of_lines(text: str) -> None:
    passage = f"x{text}x"
    found = result_of(passage, (0, len(passage)))
    drawn = formats(found, text, passage, NONE)
    assert len(drawn["Markdown"].split("\n")) == 5
    (row,) = csv.DictReader(io.StringIO(drawn["CSV"]))
    assert row["answer"].removeprefix("'") == passage
    assert json.loads(drawn["JSON"])["answers"][0]["text"] == passage
