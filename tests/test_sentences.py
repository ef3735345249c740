"""The sentence an answer stands in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import any_text, prose
from ui.sentences import REACH, around


def sentence_of(passage: str, answer: str) -> str:
    start = passage.index(answer)
    sentence = around(passage, start, start + len(answer))
    return (
        ("… " if sentence.cut_before else "")
        + passage[sentence.start : sentence.end]
        + (" …" if sentence.cut_after else "")
    )


@pytest.mark.parametrize(
    ("passage", "answer", "expected"),
    [
        ("One. Two is here. Three.", "here", "Two is here."),
        ("One. Two", "Two", "Two"),
        ("He said “Stop!” Then he left.", "left", "Then he left."),
        ("It rose 3.8 cm. in 1999 alone.", "1999", "It rose 3.8 cm. in 1999 alone."),
        ("We met J. Smith and Dr. Jones. They left.", "Jones", "We met J. Smith and Dr. Jones."),
        ("What? 12 boats! 7 sank.", "12", "12 boats!"),
        ("第一句。第二句です！第三", "第二", "第二句です！"),
        ("Eggs\n- two eggs\n- one onion\n\nMix", "onion", "- one onion"),
        ("a line\nwrapped here. End.", "wrapped", "a line\nwrapped here."),
        ("Heading\n\nBody text", "Body", "Body text"),
        ("وصل القارب؟ نعم، وصل.", "نعم", "نعم، وصل."),
    ],
)
def test_sentences(passage: str, answer: str, expected: str) -> None:
    assert sentence_of(passage, answer) == expected


def test_an_answer_over_two_sentences_shows_both() -> None:
    assert sentence_of("Zero. One two. Three four. Five.", "two. Three") == "One two. Three four."


def test_a_long_stretch_is_cut_between_words() -> None:
    words = prose(200).replace(".", "")
    middle = words[700:900].split()[1]
    sentence = sentence_of(words, middle)
    assert sentence.startswith("… ")
    assert sentence.endswith(" …")
    assert set(sentence[2:-2].split()) <= set(words.split())
    assert len(sentence) <= len(middle) + 2 * REACH + 4


def test_where_words_are_not_spaced_it_is_cut_between_grapheme_clusters() -> None:
    kiss = "👩‍❤️‍👩"
    passage = kiss * 100 + "x" + kiss * 100
    sentence = around(passage, passage.index("x"), passage.index("x") + 1)
    assert sentence.cut_before
    assert sentence.cut_after
    assert sentence.start % len(kiss) == 0
    assert (sentence.end - passage.index("x") - 1) % len(kiss) == 0


@pytest.mark.parametrize("run", ['"', "»", "\U0001f1e9", "\n", " "])
def test_a_long_run_is_no_work(run: str) -> None:
    text = f"{run * 1_000_000} The lamp was lit by Anna. {run * 1_000_000}"
    start = text.index("Anna")
    for _ in range(100):  # reading back to the beginning each time would take an hour
        sentence = around(text, start, start + 4)
    assert "The lamp was lit by Anna." in text[sentence.start : sentence.end]


@given(any_text, st.data())
def test_the_sentence_holds_the_answer(passage: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(passage)))
    end = data.draw(st.integers(start, len(passage)))
    sentence = around(passage, start, end)
    assert 0 <= sentence.start <= start <= end <= sentence.end <= len(passage)
    assert start - sentence.start <= REACH
    assert sentence.end - end <= REACH
