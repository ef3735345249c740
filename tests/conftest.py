"""What many tests share: the bundled model, loaded once, and its tokenizer with a fake model behind
it."""

from collections.abc import Callable

import pytest

from qa import Reader, catalog
from qa.reader import LONGEST_ANSWER, Model
from qa.windows import Windower


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader.load()


@pytest.fixture(scope="session")
def windower() -> Windower:
    card = catalog.find(catalog.DEFAULT)
    return Windower(card.folder / "tokenizer.json", card.frame, LONGEST_ANSWER)


@pytest.fixture(scope="session")
def reader_of(windower: Windower) -> Callable[[Model], Reader]:
    """Return a function that puts a fake model behind the real tokenizer."""
    card = catalog.find(catalog.DEFAULT)
    return lambda model: Reader(card, windower, model)
