"""The questions asked about a passage: the latest first, none twice, of that passage alone."""

from ui.history import LONGEST, History


def test_the_latest_comes_first_and_none_twice() -> None:
    history = History()
    for question in ("Who?", "When?", " Who? "):
        history = history.with_question(question, "A text.")
    assert history.about("A text.") == ("Who?", "When?")


def test_another_passage_begins_anew() -> None:
    history = History().with_question("Who?", "A text.")
    assert history.about("Another.") == ()
    assert history.about("A text.") == ("Who?",)
    history = history.with_question("When?", "Another.")
    assert history.about("Another.") == ("When?",)
    assert history.about("A text.") == ()


def test_only_so_many_are_kept() -> None:
    history = History()
    for number in range(LONGEST + 5):
        history = history.with_question(str(number), "A text.")
    assert history.about("A text.") == tuple(str(LONGEST + 4 - i) for i in range(LONGEST))
