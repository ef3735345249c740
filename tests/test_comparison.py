"""Models side by side: each is asked, none spoils another, and who differs is found."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from qa import InputError, ModelCard, QAError, Reader
from qa.comparison import Entry, Opinion, compare, opinions, over, to_dict
from qa.reader import Model
from qa.spans import WindowLogits
from qa.windows import Window, Windower
from tests.fakes import PointingModel
from tests.texts import prose

PASSAGE = "The alpha came before the omega, and the omega before nothing at all."

Get = Callable[[str], Reader]


@pytest.fixture
def get(reader_of: Callable[[Model], Reader], windower: Windower) -> Get:
    """Return a function that gives models by name: they answer with that word, "late" is one that
    needs fetching again."""

    def get(name: str) -> Reader:
        if name == "late":
            raise QAError("The model is damaged; install it again.")
        word = int(windower.passage(name.partition("-")[0]).ids[0])
        reader = reader_of(PointingModel(word, word))
        reader.card = replace(reader.card, name=name, title=name.title())
        return reader

    return get


def cards(reader: Reader, *names: str) -> list[ModelCard]:
    return [replace(reader.card, name=name, title=name.title()) for name in names]


def test_each_model_is_asked_and_those_who_differ_are_found(reader: Reader, get: Get) -> None:
    names = "alpha", "omega-1", "omega-2"
    *_, entries = compare(cards(reader, *names), get, "What?", PASSAGE, 2)
    assert over(entries)
    for entry, name in zip(entries, names, strict=True):
        assert entry.result is not None
        answer = get(name).answer("What?", PASSAGE, 2)
        assert entry.result.answers == answer.answers
        assert (entry.card.name, entry.result.model) == (name, name)
    assert opinions(entries) == [
        Opinion("omega", ("omega-1", "omega-2")),
        Opinion("alpha", ("alpha",)),
    ]
    found = to_dict(entries)
    assert [model["result"]["answers"][0]["text"] for model in found["models"]] == [
        "alpha",
        "omega",
        "omega",
    ]
    assert found["opinions"][0] == {"text": "omega", "models": ["omega-1", "omega-2"]}
    assert found["agree"] is False


def test_models_that_cannot_answer_do_not_spoil_the_others(reader: Reader, get: Get) -> None:
    *_, entries = compare(cards(reader, "late", "omega"), get, "What?", PASSAGE)
    assert [entry.error for entry in entries] == ["The model is damaged; install it again.", None]
    assert over(entries)
    found = to_dict(entries)
    assert found["models"][0]["result"] is None
    assert (found["opinions"], found["agree"]) == ([{"text": "omega", "models": ["omega"]}], True)


def test_small_differences_of_writing_are_none(reader: Reader) -> None:
    passage = "The Keel, the keel; A KEEL! A mast."
    entries = [
        Entry(
            card, replace(reader.answer("What?", passage), no_answer=no_answer, answers=(answer,))
        )
        for card, no_answer, answer in (
            (card, no_answer, replace(reader.answer("What?", passage).answers[0], text=text))
            for card, no_answer, text in zip(
                cards(reader, "a", "b", "c", "d", "e"),
                (None, None, 0.2, 0.9, 0.8),
                ("The Keel", "keel;", "mast", "keel", "mast"),
                strict=True,
            )
        )
    ]
    assert opinions(entries) == [
        Opinion("The Keel", ("a", "b")),
        Opinion(None, ("d", "e")),  # probably no answer, whatever the best guess is
        Opinion("mast", ("c",)),
    ]
    assert opinions([*entries, Entry(reader.card), Entry(reader.card, error="No.")]) == opinions(
        entries
    )


@pytest.mark.parametrize(("question", "passage"), [("", PASSAGE), ("What?", " "), ("\u200b", "A")])
def test_bad_input_is_no_fault_of_the_models(
    reader: Reader, get: Get, question: str, passage: str
) -> None:
    with pytest.raises(InputError, match=r"empty|readable"):
        list(compare(cards(reader, "alpha", "omega"), get, question, passage))


def test_all_models_together_take_no_longer_than_one_may(
    reader: Reader, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count()
    monkeypatch.setattr("qa.reader.time.monotonic", lambda: next(clock))  # a second a look at it
    text = prose(3000)
    *_, (alone,) = compare(cards(reader, "alpha"), get, "What?", text)
    assert alone.finished
    limit = next(clock) * 1.5

    def limited(name: str) -> Reader:
        found = get(name)
        found.max_seconds = limit
        return found

    *_, entries = compare(cards(reader, "alpha", "omega-1", "omega-2"), limited, "What?", text)
    first, *others = entries
    assert (first.error, first.finished) == (None, True)
    said = f"Reading takes longer than {limit:,} seconds, the limit here"
    assert all(other.error and other.error.startswith(said) for other in others)


class CountingModel:
    """Nothing but a count of windows, each of which takes a moment."""

    def __init__(self) -> None:
        self.read = count()
        self.last = 0

    def run(self, window: Window) -> WindowLogits:
        self.last = next(self.read)
        return PointingModel(0, 0).run(window)


def test_who_goes_away_stops_the_reading(
    reader: Reader, reader_of: Callable[[Model], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count()
    monkeypatch.setattr("qa.reader.time.monotonic", lambda: next(clock))  # a second a window
    model = CountingModel()
    slow = reader_of(model)
    steps = compare(cards(reader, "first", "second"), lambda _: slow, "What?", prose(3000))
    assert [entry.result for entry in next(steps)] == [None, None]
    first, second = next(steps)
    assert first.result is not None
    assert not first.result.complete
    assert not first.finished
    assert second == Entry(second.card)
    read = model.last
    steps.close()
    assert model.last == read < first.result.windows - 1
