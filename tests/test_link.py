"""Links: what is written is read again, and whatever somebody else wrote does no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa import InputError
from tests.texts import any_text
from ui.link import Link, read, write

MOST = 10


@given(any_text.filter(str.strip), st.text(min_size=1).filter(str.strip), st.integers(1, MOST))
def test_what_is_written_is_read_again(question: str, model: str, top_k: int) -> None:
    found = read("#" + write(question, model, top_k), MOST)
    carried = question.encode("utf-8", "replace").decode()
    assert found == Link(carried, "", model, top_k)


@given(st.text())
def test_any_fragment_is_read(fragment: str) -> None:
    found = read(fragment, MOST)
    assert found is None or (
        (found.question + found.passage).strip() and 1 <= (found.top_k or 1) <= MOST
    )


@pytest.mark.parametrize("number", ["0", "11", "-1", "1e1", "٣", "", "9" * 5000, "3.0"])
def test_a_number_of_answers_that_cannot_be_is_passed_over(number: str) -> None:
    found = read(f"#question=Who?&answers={number}", MOST)
    assert found is not None
    assert found.top_k is None


def test_a_passage_without_a_question_is_a_link_too() -> None:
    assert read("", MOST) is None
    assert read("#question=+%20&passage=&answers=3", MOST) is None
    assert read("#question=+%20&passage=text", MOST) == Link("  ", "text", None, None)


def test_a_link_without_its_passage_says_so() -> None:
    found = read("#question=Who?", MOST)
    assert found is not None
    with pytest.raises(InputError, match="paste it here") as refused:
        found.check()
    assert refused.value.field == "passage"
