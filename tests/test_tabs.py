"""The tabs beside the passage: nothing is drawn for whoever wants it no more."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qa import Reader, catalog
from qa.reader import Model
from qa.spans import WindowLogits
from qa.windows import Window
from tests import loops
from tests.fakes import RandomModel
from tests.texts import prose
from ui import page
from ui.asking import Asked
from ui.blocks import Blocks
from ui.readers import Readers

LONG = prose(4000)
VISITOR: Any = SimpleNamespace(session_hash="ada")


class Interrupted(RandomModel):
    """While the third window is read, something else happens."""

    def __init__(self) -> None:
        self.interrupt_by(lambda: None)

    def interrupt_by(self, happens: Callable[[], object]) -> None:
        self.read, self.happens = 0, happens

    def run(self, window: Window) -> WindowLogits:
        self.read += 1
        if self.read == 3:
            self.happens()
            time.sleep(0.5)  # by now the next drawing is due
        return super().run(window)


@pytest.fixture(scope="module")
def model() -> Interrupted:
    return Interrupted()


@pytest.fixture(scope="module")
def pages(model: Interrupted, reader_of: Callable[[Model], Reader]) -> Blocks:
    readers = Readers(catalog.DEFAULT)
    readers.default = reader_of(model)

    async def build() -> Blocks:
        return page.build(readers)  # Gradio would leave a loop of its own open

    return loops.run(build())


def function(pages: Blocks, name: str) -> Callable[..., Any]:
    """Return what happens at the event of this name that comes first."""
    return next(event.fn for event in pages.fns.values() if event.name == name and event.fn)


def drawn(changes: Iterable[dict[Any, Any]]) -> list[str]:
    """Return the drawings among the changes."""
    each = [value for change in changes for value in change.values()]
    return [value for value in each if isinstance(value, str)]


def test_a_comparison_that_is_superseded_is_drawn_no_more(
    pages: Blocks, model: Interrupted
) -> None:
    emptied: list[str] = []
    changes = function(pages, "ask_all")("Who?", LONG, 1, VISITOR)
    model.interrupt_by(lambda: emptied.append(function(pages, "clear")(None, None, VISITOR)))
    assert "Asking…" in drawn([next(changes)])[0]
    assert drawn(changes) == []
    assert (emptied, model.read) == ([""], 3)


def test_a_comparison_stays_for_the_same_question(pages: Blocks) -> None:
    clear = function(pages, "clear")
    compared = hash(("Who?", LONG))
    assert clear(Asked("Who?", LONG, "another"), compared, VISITOR) != ""
    assert clear(Asked("When?", LONG, catalog.DEFAULT), compared, VISITOR) == ""
    assert clear(None, compared, VISITOR) == ""


def test_with_one_model_it_says_where_others_are(
    pages: Blocks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def invitation() -> tuple[str, bool]:
        html, button = function(pages, "invite")().values()
        return html, button["interactive"]

    assert invitation()[1]
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path)
    html, interactive = invitation()
    assert "there is nothing to compare it with" in html
    assert not interactive


def test_looking_inside_anew_ends_what_was_drawn(pages: Blocks, model: Interrupted) -> None:
    asked = Asked("Who?", LONG, catalog.DEFAULT)

    def show(asked: Asked | None) -> list[str]:
        async def drawings() -> list[str]:
            shown = function(pages, "show")(True, asked, 1, VISITOR)
            return [value async for value in shown if isinstance(value, str)]

        return loops.run(drawings())

    model.interrupt_by(lambda: show(None))
    assert show(asked) == []
    assert model.read == 3
