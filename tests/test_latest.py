"""What visitors asked for last, and what was read for them lately."""

import pytest

from qa import Reader
from qa.inside import Reading
from tests.texts import prose
from ui import readings
from ui.asking import Asked
from ui.latest import Latest
from ui.readings import Key, Readings


def test_only_the_latest_of_each_visitor_is_wanted() -> None:
    latest = Latest()
    with latest.begin("ada") as first, latest.begin("bob") as other:
        assert first()
        with latest.begin("ada") as second:
            assert (first(), second(), other()) == (False, True, True)
        assert not first()
        latest.stop("bob")
        assert not other()
        latest.stop("ada")  # nothing of hers goes on: fine
    with latest.begin("ada") as earlier:
        with latest.begin("ada") as later:
            pass
        assert not earlier()
    assert not later()


def test_an_earlier_work_that_ends_late_leaves_the_later_one_alone() -> None:
    latest = Latest()
    earlier = latest.begin("ada")
    earlier.__enter__()
    with latest.begin("ada") as wanted:
        earlier.__exit__(None, None, None)
        assert wanted()


def test_readings_are_found_by_what_was_asked_and_the_oldest_give_way(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Readings()

    def key(text: str, question: str = "Who?") -> Key:
        return reader, Asked(question, text, "model")

    texts = [prose(words) for words in (50, 60, 70)]
    made = [Reading(reader, "Who?", text) for text in texts]
    monkeypatch.setattr(readings, "KEPT_TOKENS", sum(map(len, made)) - 1)
    for text, reading in zip(texts, made, strict=True):
        kept.keep(key(text), reading)
        if text == texts[1]:
            assert kept.find(key(texts[0])) is made[0]  # and is not the oldest now
    found = [kept.find(key(text)) for text in texts]
    assert found == [made[0], None, made[2]]
    assert kept.find(key(texts[0], "Who else?")) is None
