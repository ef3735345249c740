"""Questions out of lists, CSVs and SQuAD files, and what their answers become."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from qa import Answer, InputError, Reader, Result, answer_sheet, questionnaire
from qa.answer_sheet import Row
from qa.documents import Document
from qa.questionnaire import Item
from tests.fakes import RandomModel
from tests.texts import prose

PASSAGE = Document("Mara Quill lit the lamp in 1874.")


def squad(**asked: Any) -> str:
    """Return a file of SQuAD's layout with one question."""
    qas = [{"id": "a", "question": "Who?", **asked}]
    paragraphs = [{"context": PASSAGE.text, "qas": qas}]
    return json.dumps({"data": [{"title": "Lamp", "paragraphs": paragraphs}]})


def row(item: Item, text: str = "", no_answer: float | None = None, **named: Any) -> Row:
    """Return a row with one answer, that stands at the beginning of its passage."""
    answers = (Answer(text, 0, len(text), 0.5),) if text else ()
    result = Result(
        model="m",
        answers=answers,
        no_answer=no_answer,
        windows=1,
        tokens=1,
        question_cut=False,
        milliseconds={},
        read=1,
    )
    return Row(item, result, **named)


def test_a_list_has_a_question_a_line() -> None:
    items = questionnaire.read("\ufeffWho, then?\r\n\n  When?  \n", PASSAGE)
    assert [(item.id, item.question) for item in items] == [("1", "Who, then?"), ("2", "When?")]
    assert all(item.passage == PASSAGE and item.references is None for item in items)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_has_a_header(separator: str) -> None:
    rows = [
        ["ID", " Question ", "context", "File", "Answers"],
        ["x", "Who?", "Own; text,\nof two lines", "", "Ada | Ada Lovelace"],
        ["", "When?", "", "book.pdf", ""],
        ["", "Where?", "", "", "here"],
        ["", "", "", "", ""],
        ["", "How?", "", "lost.pdf"],
    ]
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    book = Document("A book.", (0,))
    first, second, third, last = questionnaire.read(out.getvalue(), PASSAGE, {"book.pdf": book})
    assert first == Item(
        "x", "Who?", Document("Own; text,\nof two lines"), references=("Ada", "Ada Lovelace")
    )
    assert second == Item("2", "When?", book, "book.pdf")
    assert third == Item("3", "Where?", PASSAGE, references=("here",))
    assert last.wrong.startswith("There is no passage file lost.pdf")


@pytest.mark.parametrize("header", ["question,passage,text", "question,context,text"])
def test_of_two_columns_for_the_same_the_clearer_one_counts(header: str) -> None:
    (item,) = questionnaire.read(f"{header}\nWho lit it?,Anna lit it.,Anna\n")
    assert item.passage.text == "Anna lit it."


def test_a_first_column_without_a_name_stays_one() -> None:
    (item,) = questionnaire.read("\n\tquestion\tpassage\n0\tWho came?\tBob came.\n")
    assert (item.question, item.passage.text) == ("Who came?", "Bob came.")


def test_a_list_may_have_numbers_in_brackets() -> None:
    first, second = questionnaire.read("[1] Who came?\n[2] When?\n", PASSAGE)
    assert (first.question, second.question) == ("[1] Who came?", "[2] When?")


def test_a_file_of_squads_layout_has_it_all() -> None:
    (item,) = questionnaire.read(squad(answers=[{"text": "Mara"}, {"text": "Mara Quill"}]))
    assert item == Item("a", "Who?", PASSAGE, "Lamp", ("Mara", "Mara Quill"))
    (item,) = questionnaire.read(squad(answers=[], is_impossible=True))
    assert item.references == ()
    (item,) = questionnaire.read(squad())
    assert item.references is None


def test_a_list_may_have_commas_and_one_column_may_have_a_name() -> None:
    assert len(questionnaire.read("Who, when, and where?\nWhy?", PASSAGE)) == 2
    column = 'question\nWho, if anyone, lit it?\n"Why; and how?"\n'
    asked = [item.question for item in questionnaire.read(column, PASSAGE)]
    assert asked == ["Who, if anyone, lit it?", "Why; and how?"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" \n", "There are no questions; type them"),
        ("question,answer\n", "There are no questions in this file"),
        ("[" * 100_000, "JSON but not in SQuAD's layout"),
        ('[{"question": "Who?"}]', "JSON but not in SQuAD's layout"),
        ('{"data": [{"paragraphs": 3}]}', "JSON but not in SQuAD's layout"),
        ("Who?\n" * 1001, "There are more than 1,000 questions, the limit here; ask them in parts"),
        ("x" * 5_000_001, "have 5,000,001 characters, the limit is 5,000,000"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        questionnaire.read(text, PASSAGE)


@pytest.mark.parametrize(
    "text",
    [
        "Who?\n" * 9,
        "question\n" + "Who?\n" * 9,
        json.dumps(
            {"data": [{"paragraphs": [{"context": "A", "qas": [{"question": "Who?"}] * 9}]}]}
        ),
    ],
    ids=["list", "csv", "squad"],
)
def test_no_more_questions_are_made_than_show_that_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    made: list[str] = []

    def counted(*cells: Any, **named: Any) -> Item:
        made.append("")
        return Item(*cells, **named)

    monkeypatch.setattr(questionnaire, "Item", counted)
    assert len(questionnaire.read(text, PASSAGE, most=9)) == 9
    made.clear()
    with pytest.raises(InputError, match="more than 3 questions"):
        questionnaire.read(text, PASSAGE, most=3)
    assert len(made) == 4


def test_the_reading_in_all_is_limited() -> None:
    long = Document("x" * 60_000)
    assert len(questionnaire.read("Who?\n" * 800, long)) == 800
    with pytest.raises(InputError, match="54,000,000 characters would be read"):
        questionnaire.read("Who?\n" * 900, long)


def test_what_is_wrong_with_one_question_stands_in_its_row(
    reader_of: Callable[[Any], Reader],
) -> None:
    items = questionnaire.read("question,file\nWho?,\n ,x\nWhen?,lost.txt\nWhy?,", PASSAGE)
    first, blank, lost, last = answer_sheet.ask(reader_of(RandomModel()), items, 2)
    assert first.result is not None
    assert last.result is not None
    assert len(last.result.answers) == 2
    assert (blank.result, lost.result) == (None, None)
    assert blank.error == lost.error.replace("lost.txt", "x")
    assert answer_sheet.figures([first, blank, lost, last]) == {"questions": 4, "errors": 2}
    with pytest.raises(InputError, match="number of answers"):
        list(answer_sheet.ask(reader_of(RandomModel()), items, 0))


def test_rows_so_far_come_while_a_passage_is_read(reader_of: Callable[[Any], Reader]) -> None:
    items = questionnaire.read("Who?\nWhen?", Document(prose(1500)))
    reader = reader_of(RandomModel())
    rows = list(answer_sheet.ask(reader, items, 1, pause=0))
    whole = list(answer_sheet.ask(reader, items, 1))
    assert [row.item for row in rows if row.finished] == [row.item for row in whole] == items
    assert all(row.finished for row in whole)
    assert len(rows) > 4


def test_answers_are_marked() -> None:
    def item(*references: str) -> Item:
        return Item("", "Who?", PASSAGE, references=references)

    rows = [
        row(item("Mara Quill", "Quill"), "the Mara Quill"),
        row(item("Mara Quill"), "Mara"),
        row(Item("", "Why?", PASSAGE), "lamp"),
        Row(item("Mara"), error="It could not be asked."),
    ]
    assert [each.exact_match() for each in rows] == [1.0, 0.0, None, 0.0]
    assert [each.f1() for each in rows] == [1.0, pytest.approx(2 / 3), None, 0.0]
    assert answer_sheet.figures(rows) == {
        "questions": 4,
        "errors": 1,
        "with_reference": 3,
        "exact_match": pytest.approx(100 / 3),
        "f1": pytest.approx(100 * (1 + 2 / 3) / 3),
    }


@pytest.mark.parametrize(
    ("references", "no_answer", "f1"),
    [((), 0.6, 1.0), ((), 0.4, 0.0), (("Mara",), 0.6, 0.0), (("Mara",), 0.4, 1.0)],
)
def test_no_answer_is_an_answer_where_some_have_none(
    references: tuple[str, ...], no_answer: float, f1: float
) -> None:
    item = Item("", "Who?", PASSAGE, references=references)
    assert answer_sheet.may_be_none([Item("", "", PASSAGE), item]) is (references == ())
    answered = row(item, "Mara", no_answer, may_be_none=True)
    assert answered.f1() == f1
    (told,) = csv.DictReader(io.StringIO(answer_sheet.to_csv([answered])))  # what was marked
    assert (told["answer"], bool(told["score"])) == (("", False), ("Mara", True))[no_answer < 0.5]
    assert Row(item, error="It could not be asked.", may_be_none=True).f1() == 0


def test_no_cell_becomes_a_formula() -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1"]
    rows = [
        row(Item(text, f"{text}?", Document(text), text, references=(text,)), text)
        for text in hostile
    ]
    header, *table = csv.reader(io.StringIO(answer_sheet.to_csv(rows)))
    assert header[:4] == ["id", "question", "passage", "answer"]
    for cells, text in zip(table, hostile, strict=True):
        assert [cells[0], cells[2], cells[3]] == [f"'{text}"] * 3
        assert cells[1] == f"'{text}?"
        assert cells[header.index("reference")] == f"'{text}"
        assert cells[header.index("score")] == "0.5"


def test_rows_say_the_page_and_what_was_wrong() -> None:
    book = Document("Mara lit it. Ann cast it.", (0, 13))
    first = row(Item("a", "Who?", book, "book.pdf"), "Mara", 0.1)
    second = Row(Item("b", "", book, "book.pdf"), error="The question is empty.")
    assert answer_sheet.to_dict([first, second])["rows"] == [
        {
            "id": "a",
            "question": "Who?",
            "passage": "book.pdf",
            "answers": [{"text": "Mara", "start": 0, "end": 4, "score": 0.5, "page": 1}],
            "no_answer": 0.1,
        },
        {"id": "b", "question": "", "passage": "book.pdf", "error": "The question is empty."},
    ]
    table = list(csv.DictReader(io.StringIO(answer_sheet.to_csv([first, second]))))
    assert (table[0]["page"], table[1]["error"]) == ("1", "The question is empty.")
