"""The page of many questions, as a person uses it, and its endpoint."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, expect

from qa import Reader
from tests.browser.axe import Form, in_both_forms, violations, violations_in
from tests.browser.conftest import ROOT, Visit
from tests.browser.test_asking import DROP
from tests.browser.test_page import HOSTILE, WIDEST, example
from tests.document_files import pdf
from ui.many import TOP_K

pytestmark = pytest.mark.browser

_, PASSAGE, QUESTIONS = example(0)


@pytest.fixture
def many(visit: Visit) -> Any:
    """Return a function that opens the page in a new visitor's browser."""

    def open_page(**options: Any) -> Page:
        page = visit("questions", **options)
        expect(button(page)).to_be_visible()
        return page

    return open_page


def button(page: Page) -> Locator:
    return page.get_by_role("button", name="Ask all", exact=True)


def fill(page: Page, questions: str, passage: str = "") -> None:
    page.get_by_label("Questions", exact=True).fill(questions)
    page.get_by_label("Passage", exact=True).fill(passage)


def expect_done(page: Page, figures: str) -> None:
    expect(page.locator("#vb-summary .vb-figures")).to_contain_text(re.compile(figures))
    expect(page.locator("#vb-going progress")).to_have_count(0)


def table(page: Page, count: int) -> list[list[str]]:
    """Return the cells of the table's rows, as shown, once so many are."""
    rows = page.locator("#vb-table [role=row]:has([role=gridcell])")
    expect(rows).to_have_count(count)
    return [
        [text.strip() for text in row.locator("[role=gridcell]").all_inner_texts()]
        for row in rows.all()
    ]


def downloaded(page: Page, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    path: Path = download.value.path()
    return path.read_text(encoding="utf-8-sig")


def test_an_example_fills_the_table_and_is_marked_and_downloaded(many: Any, reader: Reader) -> None:
    page = many()
    page.get_by_text("A CSV with passages and answers").click()
    expect_done(page, r"Questions7Exact match\d+\.\dF1\d+\.\dMarked6")
    with (ROOT / "examples/questions.csv").open(encoding="utf-8") as file:
        asked = list(csv.DictReader(file))
    expected = [reader.answer(row["question"], row["passage"], TOP_K) for row in asked]
    for cells, row, result in zip(table(page, 7), asked, expected, strict=True):
        best = result.answers[0]
        assert cells[1:3] == [row["question"], best.text]
        assert float(cells[3]) == pytest.approx(best.score, abs=0.001)

    rows = list(csv.DictReader(io.StringIO(downloaded(page, "Download CSV"))))
    assert [row["answer"] for row in rows] == [result.answers[0].text for result in expected]
    assert rows[0]["exact_match"] == "1.0"
    sheet = json.loads(downloaded(page, "Download JSON"))
    assert sheet["with_reference"] == 6
    assert [len(row["answers"]) for row in sheet["rows"]] == [
        len(result.answers) for result in expected
    ]


def test_the_table_sorts_and_filters_with_the_keyboard(many: Any) -> None:
    page = many()
    page.get_by_text("A CSV with passages and answers").click()
    expect_done(page, "Questions7")
    scores = [float(cells[3]) for cells in table(page, 7)]
    assert scores != sorted(scores)
    page.get_by_role("button", name="Sort or filter Score").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Sort ascending")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sort or filter Score")).to_be_focused()
    first = page.locator("#vb-table [role=gridcell]").nth(3)
    expect(first).to_have_text(f"{min(scores):g}")
    assert [float(cells[3]) for cells in table(page, 7)] == sorted(scores)
    page.get_by_role("textbox", name="Filter the answers").fill("atlases")
    assert table(page, 1)[0][1] == "Where are atlases read?"


def test_a_list_is_asked_of_files_that_are_opened(many: Any, tmp_path: Path) -> None:
    page = many()
    book = tmp_path / "book.pdf"
    book.write_bytes(pdf([["The lamp was lit in 1874."], ["Mara Quill lit it at dusk."]]))
    note = tmp_path / "note!.txt"  # Gradio's copy is without the mark
    note.write_text("The bell was cast by Ann Reed of Leith.", encoding="utf-8")
    questions = tmp_path / "questions.csv"
    questions.write_text(
        "id;Question;File\na;Who lit the lamp?;book.pdf\nb;Who cast the bell?;note!.txt\n"
        "c;Who?;missing.txt\nd;;book.pdf\n",
        encoding="utf-8",
    )
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open files").click()
    chooser.value.set_files([book, note])
    expect(page.locator(".vb-shelf")).to_have_text("Open: book.pdf, note!.txt")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open a file").click()
    chooser.value.set_files(questions)
    expect(page.get_by_label("Questions", exact=True)).to_have_value(re.compile("id;Question"))
    button(page).click()
    expect_done(page, "Questions4Not answered2")
    rows = json.loads(downloaded(page, "Download JSON"))["rows"]
    lit, cast, missing, blank = rows
    assert (lit["answers"][0]["text"], lit["answers"][0]["page"]) == ("Mara Quill", 2)
    assert cast["answers"][0]["text"].startswith("Ann Reed")
    assert missing["error"] == "There is no passage file missing.txt; open it beside the passage."
    assert blank["error"] == "The question is empty; type what you want to know."
    assert "missing.txt; open it" in " ".join(table(page, 4)[2])


def test_one_file_becomes_the_passage(many: Any, tmp_path: Path) -> None:
    page = many()
    note = tmp_path / "note.md"
    note.write_text("The bell was cast by Ann Reed.", encoding="utf-8")
    page.get_by_role("button", name="Open files").locator("xpath=..").locator(
        "input[type=file]"
    ).set_input_files(note)
    expect(page.get_by_label("Passage", exact=True)).to_have_value("The bell was cast by Ann Reed.")
    page.get_by_label("Questions", exact=True).fill("Who cast the bell?\n\nWhat did she cast?\n")
    button(page).click()
    expect_done(page, "Questions2")
    assert table(page, 2)[0][2] == "Ann Reed"


def test_files_are_dropped_on_either_box_and_each_refusal_is_shown(many: Any) -> None:
    page = many()
    questions = page.get_by_label("Questions", exact=True)
    questions.evaluate(DROP, ["list.txt", "Who cast the bell?"])
    expect(questions).to_have_value("Who cast the bell?")
    chooser = page.locator("#vb-text input[type=file]")
    packed = {"mimeType": "application/zip", "buffer": b"PK\x03\x04 nothing"}
    chooser.set_input_files([{"name": name, **packed} for name in ("a.zip", "b.zip")])
    alerts = page.get_by_role("alert")
    expect(alerts).to_have_text([re.compile("a.zip is a packed"), re.compile("b.zip is a packed")])
    first, second = (alert.bounding_box() for alert in alerts.all())
    assert first is not None
    assert second is not None
    assert second["y"] >= first["y"] + first["height"]


def test_what_is_wrong_stands_beside_its_field(many: Any) -> None:
    page = many()
    for questions, passage, field, sentence in (
        ("", "A passage.", "Questions", "There are no questions"),
        ('{"data": 1}', "", "Questions", "not in SQuAD's layout"),
        ("Who?\n" * 1001, "A passage.", "Questions", "There are more than 1,000 questions"),
        ("Who?", " ", "Passage", "There is no passage to ask"),
    ):
        fill(page, questions, passage)
        button(page).click()
        error = page.get_by_role("alert")
        expect(error).to_contain_text(sentence)
        box, place = page.get_by_label(field, exact=True).bounding_box(), error.bounding_box()
        assert box is not None
        assert place is not None
        assert 0 <= place["y"] - (box["y"] + box["height"]) < 40
        expect(page.get_by_label("Questions", exact=True)).to_have_value(questions)


def test_stop_ends_the_work_and_keeps_what_was_found(many: Any) -> None:
    page = many()
    fill(page, "\n".join(QUESTIONS * 100), PASSAGE * 20)
    button(page).click()
    expect(page.locator("#vb-table [role=gridcell]").first).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect_done(page, rf"Questions\d+ of {100 * len(QUESTIONS)}")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    rows = json.loads(downloaded(page, "Download JSON"))["rows"]
    assert 0 < len(rows) < 100 * len(QUESTIONS)


def test_questions_that_cannot_be_asked_end_nothing(many: Any) -> None:
    page = many()
    fill(page, "\n".join(QUESTIONS * 3), PASSAGE * 3)
    button(page).click()
    expect(page.locator("#vb-table [role=gridcell]").first).to_be_visible()
    fill(page, "", PASSAGE)
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("There are no questions")
    expect_done(page, rf"Questions{3 * len(QUESTIONS)}")
    assert len(json.loads(downloaded(page, "Download JSON"))["rows"]) == 3 * len(QUESTIONS)
    expect(page.get_by_role("alert")).to_contain_text("There are no questions")


@pytest.mark.long  # the ask page's, which is quick, takes its turns as this one does
def test_who_asks_anew_does_not_wait_for_what_they_asked_before(many: Any) -> None:
    page = many()
    fill(page, "\n".join(QUESTIONS * 100), PASSAGE * 20)
    button(page).click()
    expect(page.locator("#vb-table [role=gridcell]").first).to_be_visible()
    fill(page, QUESTIONS[0], PASSAGE)
    button(page).click()
    expect_done(page, "Questions1In all")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    assert len(table(page, 1)) == 1
    fill(page, "\n".join(QUESTIONS * 100), PASSAGE * 20)
    button(page).click()
    page.get_by_text("A CSV with passages and answers").click()
    expect_done(page, "Questions7")


def test_hostile_text_is_shown_and_not_run(many: Any) -> None:
    page = many()
    fill(page, f"Who is it? {HOSTILE}\nHow long?", f"The captain is {HOSTILE} Ada.")
    button(page).click()
    expect_done(page, "Questions2")
    assert HOSTILE in table(page, 2)[0][1]
    assert page.evaluate("window.ran") is None
    assert page.locator("#vb-table script, #vb-table img").count() == 0


@in_both_forms
def test_nobody_is_kept_out(many: Any, forms: tuple[Form, ...]) -> None:
    page = many()
    assert violations(page) == []
    page.get_by_text("A CSV with passages and answers").click()
    expect_done(page, "Questions7")
    assert violations_in(page, forms) == []


def test_a_phone_shows_one_column_that_fits(many: Any) -> None:
    page = many(viewport={"width": 390, "height": 844}, has_touch=True)
    page.get_by_text("A CSV with passages and answers").click()
    expect_done(page, "Questions7")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#vb-asking").evaluate(WIDEST) <= 500
    assert page.locator("#vb-downloads").evaluate(WIDEST) <= 390


def test_the_endpoint_answers_them_all(client: Any, reader: Reader) -> None:
    questions = "\n".join(QUESTIONS[:2])
    sheet = client.predict(questions, PASSAGE, top_k=2, api_name="/answer_many")
    assert (sheet["questions"], sheet["errors"]) == (2, 0)
    for row, question in zip(sheet["rows"], QUESTIONS, strict=False):
        expected = reader.answer(question, PASSAGE, 2).to_dict()["answers"]
        assert row["question"] == question
        assert row["answers"] == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("", PASSAGE), "There are no questions"),
        (("Who?", PASSAGE, "none"), "There is no model 'none'"),
        (("Who?", PASSAGE, None, 0), "The number of answers must be"),
    ],
)
def test_the_endpoint_says_what_is_wrong(
    client: Any, arguments: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(*arguments, api_name="/answer_many")
