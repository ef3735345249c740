"""The ask page's reading of a passage, without a browser."""

from types import SimpleNamespace
from typing import Any

import pytest

from qa import QAError, catalog
from qa.inside import Reading
from tests import loops
from tests.texts import prose
from ui import ask
from ui.answers import NO_PAGES
from ui.blocks import Blocks
from ui.history import History
from ui.readers import Readers


@pytest.fixture
def page() -> ask._AskPage:
    async def build() -> ask._AskPage:
        with Blocks() as blocks:
            return ask._AskPage(blocks, Readers(catalog.DEFAULT))

    return loops.run(build())


async def asked(page: ask._AskPage) -> set[Any]:
    """Ask, and return the components that changed."""
    given = ("Who?", prose(100), catalog.DEFAULT, 3, NO_PAGES, History())
    visitor = SimpleNamespace(session_hash="ada")
    return {
        component
        async for changes in page._ask(*given, visitor)  # type: ignore[arg-type]
        for component in changes
    }


def test_answers_make_way_for_a_file_that_is_opened_as_they_are_done(
    page: ask._AskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even while they are prepared to be looked into."""
    made = Reading.of

    def opened_meanwhile(*arguments: Any) -> Reading:
        page._turns.supersede("ada")
        return made(*arguments)

    assert page._desk.ranked in loops.run(asked(page))
    monkeypatch.setattr(Reading, "of", opened_meanwhile)
    assert page._desk.ranked not in loops.run(asked(page))


def test_answers_stay_that_cannot_be_prepared_to_be_looked_into(
    page: ask._AskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: Any) -> Reading:
        raise QAError("Reading takes longer than 1 seconds, the limit here.")

    monkeypatch.setattr(Reading, "of", ended)
    assert page._desk.ranked in loops.run(asked(page))


def test_what_was_read_for_a_question_is_not_read_again(
    page: ask._AskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops.run(asked(page))
    monkeypatch.setattr(page._readers.default, "model", None)
    assert page._desk.ranked in loops.run(asked(page))
