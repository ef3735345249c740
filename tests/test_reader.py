"""The laws of answers, on every string Python can hold, and what bad input is told."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from qa import InputError, QAError, Reader, Result
from qa.errors import StoppedError
from qa.inside import Reading
from qa.reader import (
    LONGEST_ANSWER,
    MAX_ANSWERS,
    MAX_CHARACTERS,
    MAX_QUESTION_CHARACTERS,
    OVERLAP,
    Model,
)
from qa.spans import Ranking, SpanLogits, WindowLogits
from qa.windows import PIECE_CHARACTERS, PIECES_AT_ONCE, Window, Windower
from tests.fakes import PointingModel, RandomModel
from tests.texts import TRICKY, any_text, prose

PASSAGE = (
    "The lamp on Skerry Point was first lit in 1874. Its keeper, Mara Quill, wound the clockwork "
    "every four hours and wrote the weather into a green ledger."
)


@settings(max_examples=400, deadline=None)
@given(passage=any_text, top_k=st.integers(1, 5))
def test_laws_of_answers(reader_of: Callable[[Model], Reader], passage: str, top_k: int) -> None:
    if not passage.strip():
        return
    result = reader_of(RandomModel()).answer("Which one?", passage, top_k)
    edges = {0, *(match.end() for match in regex.finditer(r"\X", passage))}
    scores = [answer.score for answer in result.answers]
    assert len(result.answers) <= top_k
    assert bool(result.answers) == bool(result.tokens)
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert sum(scores) <= 1 + 1e-6
    for answer in result.answers:
        assert answer.text
        assert passage[answer.start : answer.end] == answer.text
        assert {answer.start, answer.end} <= edges
    spans = sorted((answer.start, answer.end) for answer in result.answers)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_what_was_read_for_a_question_is_not_read_again(
    reader_of: Callable[[Model], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = reader_of(RandomModel())
    passage = prose(1000)
    seen: list[WindowLogits] = []
    *_, first = reader.stream("Who?", passage, 1, seen=seen)
    monkeypatch.setattr(reader, "model", None)
    *_, again = reader.stream("Who?", passage, 5, known=seen)
    assert again.answers[:1] == first.answers
    assert (len(again.answers), again.read, again.windows) == (5, first.windows, first.windows)
    assert again.no_answer == first.no_answer


def test_memory_that_does_not_suffice_is_a_sentence(
    reader_of: Callable[[Model], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(SpanLogits, "add", full)
    with pytest.raises(QAError, match="There is not enough memory"):
        reader_of(RandomModel()).answer("Who?", PASSAGE)


@pytest.mark.parametrize("length", [1, 2, LONGEST_ANSWER - 1, LONGEST_ANSWER])
def test_no_answer_is_lost_at_a_seam(
    reader_of: Callable[[Model], Reader], windower: Windower, length: int
) -> None:
    """Every place an answer can have around the first seam of two windows, and both ends."""
    marks = "alpha", "omega"
    (alpha,), (omega,) = (windower.passage(mark).ids for mark in marks)
    reader = reader_of(PointingModel(int(alpha), int(omega)))
    capacity = windower.capacity(windower.question("Where?")[0])
    n = capacity + 100
    for first in [0, *range(capacity - OVERLAP - 40, capacity + 5), n - length]:
        words = ["of"] * n
        words[first] = "alpha"
        words[first + length - 1] = "omega"
        if length == 1:
            reader = reader_of(PointingModel(int(omega), int(omega)))
        text = " ".join(words)
        answer = reader.answer("Where?", text).answers[0]
        assert answer.text == " ".join(words[first : first + length])


def test_it_answers(reader: Reader) -> None:
    result = reader.answer("Who was the keeper?", PASSAGE)
    assert result.answers[0].text == "Mara Quill"
    assert result.model == "minilm-l6-squad-int8"
    assert (result.windows, result.question_cut) == (1, False)
    assert set(result.milliseconds) == {"tokenize", "run", "rank", "total"}
    laps = sum(result.milliseconds[lap] for lap in ("tokenize", "run", "rank"))
    assert laps == pytest.approx(result.milliseconds["total"], abs=0.01)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_it_finds_a_sentence_in_a_long_text(reader: Reader, place: str) -> None:
    filler = ("The tide came in and the tide went out, and nobody wrote it down. " * 100).strip()
    parts = {
        "first": [PASSAGE, filler],
        "middle": [filler, PASSAGE, filler],
        "last": [filler, PASSAGE],
    }
    text = "\n\n".join(parts[place])
    result = reader.answer("Who was the keeper?", text, top_k=1)
    (answer,) = result.answers
    assert answer.text == "Mara Quill"
    assert text[answer.start : answer.end] == answer.text
    assert result.windows > 3


@pytest.mark.parametrize("passage", [text for text in TRICKY if text.strip()])
def test_odd_texts_get_an_honest_result(reader: Reader, passage: str) -> None:
    for answer in reader.answer("What does it say?", passage).answers:
        assert passage[answer.start : answer.end] == answer.text


@pytest.mark.parametrize(
    ("passage", "answers"),
    [("a", ["a"]), ("\u200b", []), ("\ud800", []), ("\x00\x01", []), ("Ω", ["Ω"])],
)
def test_passages_of_one_character(reader: Reader, passage: str, answers: list[str]) -> None:
    result = reader.answer("What is it?", passage)
    assert [answer.text for answer in result.answers] == answers


def test_answers_stream_while_the_passage_is_read(reader: Reader) -> None:
    text = PASSAGE + "\n\n" + prose(900)
    results = list(reader.stream("Who was the keeper?", text, pause=0))
    windows = results[-1].windows
    assert [result.read for result in results] == list(range(1, windows + 1))
    assert [result.complete for result in results] == [False] * (windows - 1) + [True]
    assert results[0].answers[0].text == "Mara Quill"
    assert untimed(results[-1]) == untimed(reader.answer("Who was the keeper?", text))


def test_what_promises_most_is_read_first(reader: Reader) -> None:
    text = prose(2000) + "\n\n" + PASSAGE + "\n\n" + prose(2000)
    first = next(reader.stream("Who was the keeper of Skerry Point?", text, pause=0))
    assert (first.read, first.answers[0].text) == (1, "Mara Quill")
    assert first.windows > 10


def test_where_ranking_takes_its_time_results_come_less_often(
    reader_of: Callable[[Model], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(RandomModel):
        def run(self, window: Window) -> WindowLogits:
            time.sleep(0.002)
            return super().run(window)

    rank = SpanLogits.rank

    def slow_rank(logits: SpanLogits, top_k: int, **options: float) -> Ranking:
        time.sleep(0.03)
        return rank(logits, top_k, **options)

    monkeypatch.setattr(SpanLogits, "rank", slow_rank)
    results = list(reader_of(Slow()).stream("Who?", prose(8000), pause=0.001))
    assert results[-1].windows > 30
    assert 1 < len(results) < 10


def test_closing_the_stream_stops_the_reading(reader_of: Callable[[Model], Reader]) -> None:
    class Counting(RandomModel):
        runs = 0

        def run(self, window: Window) -> WindowLogits:
            self.runs += 1
            return super().run(window)

    model = Counting()
    stream = reader_of(model).stream("Who?", prose(2000), pause=0)
    assert next(stream).windows > 3
    stream.close()
    assert model.runs == 1


def test_time_spent_elsewhere_is_not_counted(reader_of: Callable[[Model], Reader]) -> None:
    stream = reader_of(RandomModel()).stream("Who?", prose(900), pause=0)
    while not (result := next(stream)).complete:
        time.sleep(0.2)
    assert result.windows > 2
    assert result.milliseconds["total"] < 200 * (result.windows - 1)


def test_a_long_question_is_cut_and_the_result_says_so(reader: Reader) -> None:
    question = "Who was the keeper? "
    assert not reader.answer(question, PASSAGE).question_cut
    assert reader.answer(question + "Tell me. " * 40, PASSAGE).question_cut


def test_questions_are_cut_as_long_as_they_may_be(reader: Reader) -> None:
    assert reader.answer("." * MAX_QUESTION_CHARACTERS, PASSAGE).question_cut


@pytest.mark.parametrize(
    "read",
    [
        lambda reader, text: list(reader.stream("Who?", text)),
        lambda *of: Reading(of[0], "Who?", of[1]),
    ],
    ids=["stream", "look inside"],
)
def test_a_passage_is_tokenized_only_as_long_as_that_may_take_and_is_wanted(
    reader_of: Callable[[Model], Reader], read: Callable[[Reader, str], object]
) -> None:
    text = "\n" * (3 * PIECES_AT_ONCE * PIECE_CHARACTERS) + "Mara Quill."
    looks = iter([True, True, False])
    reader = reader_of(RandomModel()).wanted_while(lambda: next(looks))
    reader.stream("Who?", text)  # tokenizes nothing yet
    with pytest.raises(StoppedError):
        read(reader, text)
    assert next(looks, None) is None
    reader = reader_of(RandomModel())
    reader.max_seconds = 0
    with pytest.raises(QAError, match="takes longer than 0 seconds"):
        read(reader, text)


def untimed(result: Result) -> dict[str, object]:
    return {**result.to_dict(), "milliseconds": None}


def test_the_same_call_gives_the_same_answers_whatever_else_runs(reader: Reader) -> None:
    passages = [PASSAGE, prose(50), prose(900), PASSAGE + prose(400)]
    alone = [untimed(reader.answer("Who was the keeper?", passage)) for passage in passages]
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(reader.answer, "Who was the keeper?", p) for p in passages * 8]
        together = [untimed(call.result()) for call in calls]
    for expected, got in zip(alone * 8, together, strict=True):
        assert_same(expected, got)


def test_the_number_of_threads_does_not_matter(reader: Reader) -> None:
    one = Reader.load(threads=1)
    for passage in (PASSAGE, prose(900)):
        assert_same(
            untimed(reader.answer("Who was it?", passage)),
            untimed(one.answer("Who was it?", passage)),
        )


def assert_same(expected: dict[str, object], got: dict[str, object]) -> None:
    a, b = ([dict(answer) for answer in result["answers"]] for result in (expected, got))  # type: ignore[attr-defined]
    assert [answer.pop("score") for answer in a] == pytest.approx(
        [answer.pop("score") for answer in b], abs=1e-4
    )
    assert a == b
    assert {**expected, "answers": None} == {**got, "answers": None}


@pytest.mark.parametrize(
    ("question", "passage", "top_k", "message"),
    [
        ("Who?", "", 3, "The passage is empty; paste the text to ask about."),
        ("Who?", " \n\t\u2003", 3, "The passage is empty; paste the text to ask about."),
        ("", PASSAGE, 3, "The question is empty; type what you want to know."),
        ("  ", PASSAGE, 3, "The question is empty; type what you want to know."),
        ("." * 10_001, PASSAGE, 3, "The question has 10,001 characters, the limit is 10,000;"),
        ("\ud800\u200b", PASSAGE, 3, "The question has no readable characters"),
        ("Who?", "a" * (MAX_CHARACTERS + 1), 3, "10,000,001 characters, the limit is 10,000,000"),
        ("Who?", PASSAGE, 0, f"a whole number from 1 to {MAX_ANSWERS}"),
        ("Who?", PASSAGE, MAX_ANSWERS + 1, f"a whole number from 1 to {MAX_ANSWERS}"),
        ("Who?", PASSAGE, 2.5, f"a whole number from 1 to {MAX_ANSWERS}"),
        ("Who?", PASSAGE, True, f"a whole number from 1 to {MAX_ANSWERS}"),
        (None, PASSAGE, 3, "The question must be text, not NoneType."),
        ("Who?", b"bytes", 3, "The passage must be text, not bytes."),
    ],
)
def test_bad_input_is_told_what_to_do(
    reader: Reader, question: str, passage: str, top_k: int, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        reader.answer(question, passage, top_k)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
