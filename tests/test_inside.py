"""Looking inside agrees with the answers it looks behind, on every string Python can hold."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from qa import InputError, Reader
from qa.inside import CANDIDATES, Inside, Reading, look
from qa.reader import LONGEST_ANSWER, Model
from qa.spans import WindowLogits
from qa.windows import Windower
from tests.fakes import PointingModel, RandomModel
from tests.texts import any_text, prose

PASSAGE = (
    "The lamp on Skerry Point was first lit in 1874. Its keeper, Mara Quill, wound the clockwork "
    "every four hours and wrote the weather into a green ledger."
)


@settings(deadline=None)
@given(passage=any_text)
def test_laws_of_looking_inside(reader_of: Callable[[Model], Reader], passage: str) -> None:
    reader = reader_of(RandomModel())
    if not passage.strip():
        return
    reading = Reading(reader, "Which one?", passage)
    list(reading.run())
    for rank, answer in enumerate(reader.answer("Which one?", passage, 5).answers, 1):
        inside = reading.look(rank)
        assert (inside.chosen.text, inside.chosen.start, inside.chosen.end) == (
            answer.text,
            answer.start,
            answer.end,
        )
        assert inside.chosen.score == pytest.approx(answer.score, rel=1e-4)
        assert inside.chosen.rank == rank
        check(inside, passage)


def test_a_part_is_looked_at_as_a_stopped_stream_left_it(
    reader_of: Callable[[Model], Reader],
) -> None:
    reader, passage = reader_of(RandomModel()), prose(2000)
    seen: list[WindowLogits] = []
    for result in reader.stream("Which one?", passage, pause=0, seen=seen):
        reading = Reading(reader, "Which one?", passage, result.read)
        assert [*reading.run()] == [*range(1, result.read + 1)]
        inside = reading.look()
        assert Reading.of(reader, "Which one?", passage, seen).look() == inside
        best = result.answers[0]
        assert (inside.chosen.start, inside.chosen.end) == (best.start, best.end)
        assert inside.chosen.score == pytest.approx(best.score, rel=1e-4)
        assert len(inside.windows) == result.read
        assert inside.windows[-1].number <= result.windows
        (won,) = (window for window in inside.windows if window.won)
        assert won.number == inside.chosen.window
        assert (inside.tokens[0].start, inside.tokens[-1].end) == (won.start, won.end)
    assert result.windows > 3


def check(inside: Inside, passage: str) -> None:
    """Fail unless all figures fit each other."""
    window = inside.windows[inside.chosen.window - 1]
    assert [each.number for each in inside.windows if each.won] == [window.number]
    assert window.start <= inside.chosen.start < inside.chosen.end <= window.end
    assert len(inside.tokens) == window.tokens
    assert (inside.tokens[0].start, inside.tokens[-1].end) == (window.start, window.end)
    for token in inside.tokens:
        assert passage[token.start : token.end] == token.text
    starts, ends = (
        [token.start_probability for token in inside.tokens],
        [token.end_probability for token in inside.tokens],
    )
    assert sum(starts) + inside.null_start == pytest.approx(1)
    assert sum(ends) + inside.null_end == pytest.approx(1)
    for each in (inside.chosen, *inside.candidates):
        assert passage[each.start : each.end] == each.text
        assert each.logit == pytest.approx(
            each.start_logit + each.end_logit - each.null_logit, abs=1e-4
        )
        best = inside.windows[each.window - 1].logit
        assert best is not None
        assert best >= each.logit
    assert all(before.logit >= after.logit for before, after in pairwise(inside.candidates))
    assert inside.candidates[0].logit == max(w.logit for w in inside.windows if w.logit is not None)


@pytest.mark.parametrize(("words", "ties"), [(60, False), (900, False), (60, True)])
def test_the_list_holds_the_answers_and_what_overlaps_them(
    reader_of: Callable[[Model], Reader], windower: Windower, words: int, ties: bool
) -> None:
    """Against every span of every window, one by one; equal ones by their place."""
    passage = prose(words)
    tokens = windower.passage(passage)
    start, end = tokens.ids[tokens.begins][3], tokens.ids[tokens.closes][5]
    reader = reader_of(PointingModel(int(start), int(end)) if ties else RandomModel())
    question = reader.windower.question("Which one?")[0]
    logits: dict[tuple[int, int], float] = {}
    for window in reader.logits(question, tokens):
        start, end = window.start[window.passage], window.end[window.passage]
        null = window.start[0] + window.end[0]
        for i in map(int, np.flatnonzero(tokens.begins[window.first : window.stop])):
            for j in range(i, min(window.count, i + LONGEST_ANSWER)):
                if tokens.closes[window.first + j]:
                    span = window.first + i, window.first + j
                    logit = float(start[i] + end[j] - null)
                    logits[span] = max(logit, logits.get(span, -np.inf))
    best = sorted(logits, key=lambda span: (-logits[span], span))[:CANDIDATES]
    inside = look(reader, "Which one?", passage)
    assert [(c.start, c.end, c.logit) for c in inside.candidates] == [
        (tokens.starts[first], tokens.ends[last], logits[first, last]) for first, last in best
    ]
    check(inside, passage)
    answers = reader.answer("Which one?", passage, 5).answers
    listed = [c for c in inside.candidates if c.rank]
    assert len(listed) > 1
    for candidate, answer in zip(listed, answers, strict=False):
        assert (candidate.start, candidate.end) == (answer.start, answer.end)
        assert candidate.score == pytest.approx(answer.score, rel=1e-4)
    assert inside.candidates[0].rank == 1
    assert len(inside.candidates) == CANDIDATES > len(listed)


def test_probabilities_are_those_of_the_tokens_and_the_null_position(
    reader_of: Callable[[Model], Reader],
) -> None:
    reader = reader_of(RandomModel())
    question = reader.windower.question("Which one?")[0]
    (window,) = reader.logits(question, reader.windower.passage(PASSAGE))
    inside = look(reader, "Which one?", PASSAGE)
    for logits, null, probabilities in (
        (window.start, inside.null_start, [token.start_probability for token in inside.tokens]),
        (window.end, inside.null_end, [token.end_probability for token in inside.tokens]),
    ):
        weights = np.exp([logits[0], *logits[window.passage]])
        assert [null, *probabilities] == pytest.approx(weights / weights.sum(), rel=1e-4)


def test_windows_are_those_that_were_read(reader_of: Callable[[Model], Reader]) -> None:
    reader, passage = reader_of(RandomModel()), prose(900)
    reading = Reading(reader, "Which one?", passage)
    assert list(reading.run()) == list(range(1, reading.windows + 1))
    assert reading.windows == reader.answer("Which one?", passage).windows > 3
    windows = reading.look().windows
    assert [window.number for window in windows] == list(range(1, reading.windows + 1))
    assert (windows[0].start, windows[-1].end) == (0, len(passage))
    assert all(before.end > after.start for before, after in pairwise(windows))


def test_the_bundled_model_points_at_the_name(reader: Reader) -> None:
    inside = look(reader, "Who was the keeper?", PASSAGE)
    assert inside.chosen.text == "Mara Quill"
    starts = {token.text: token.start_probability for token in inside.tokens}
    assert max(starts, key=lambda text: starts[text]) == "Mara"
    assert inside.tokens[-1].end_probability < 0.01
    result = reader.answer("Who was the keeper?", PASSAGE)
    assert inside.no_answer == pytest.approx(result.no_answer)
    assert (inside.model, len(inside.tokens)) == (result.model, result.tokens)


def test_any_span_can_be_looked_at(reader: Reader) -> None:
    reading = Reading(reader, "Who was the keeper?", PASSAGE)
    list(reading.run())
    overlapped = next(c for c in reading.look().candidates if c.rank is None)
    assert reading.look(span=(overlapped.start, overlapped.end)).chosen == overlapped
    start = PASSAGE.index("green")
    ledger = reading.look(span=(start, start + len("green ledger"))).chosen
    assert ledger.text == "green ledger"
    tokens = reader.windower.passage(PASSAGE)
    piece = int(np.flatnonzero(~tokens.begins)[0])  # the rest of a word
    end = int(tokens.ends[piece:][tokens.closes[piece:]][0])
    with pytest.raises(InputError, match="choose whole words"):
        reading.look(span=(int(tokens.starts[piece]), end))
    assert ledger.logit < overlapped.logit


@pytest.mark.parametrize(
    ("rank", "span", "message"),
    [
        (0, None, "a whole number from 1 to 100"),
        (101, None, "a whole number from 1 to 100"),
        ("1", None, "a whole number from 1 to 100"),
        (100, None, "There is no answer number 100"),
        (1, (5, 8), "No answer can stand from 5 to 8"),  # within a word
        (1, (8, 4), "No answer can stand from 8 to 4"),
        (1, (0, len(PASSAGE)), "at most 30 tokens"),
        (1, (4, 10**30), "No answer can stand"),
        (1, ("4", 8), "must be whole numbers"),
    ],
)
def test_where_no_answer_stands_is_said(
    reader: Reader, rank: int, span: tuple[int, int] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        look(reader, "Who was the keeper?", PASSAGE, rank, span=span)


@pytest.mark.parametrize(
    ("question", "passage", "message"),
    [
        ("", PASSAGE, "The question is empty"),
        ("Who?", "\u200b\x01", "no words that this model can read"),
    ],
)
def test_bad_input_is_told_what_to_do(
    reader: Reader, question: str, passage: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        look(reader, question, passage)
