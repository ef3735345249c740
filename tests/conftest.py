"""What many tests share: the default model, loaded once, and its tokenizer with a fake model behind
it."""

import os
import tempfile
from collections.abc import Callable

import pytest

from qa import Reader, catalog
from qa.reader import LONGEST_ANSWER, Model
from qa.windows import Windower

LARGER = "mpnet-base-squad-int8"
BUNDLED = {catalog.DEFAULT, LARGER}
# What Gradio's parts would tell their makers if tests did not stop them; app.py stops its own.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}


def persons_environment() -> dict[str, str]:
    """Return the environment that an app is started in, which has to be quiet by itself."""
    return {name: value for name, value in os.environ.items() if name not in QUIET}


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what a person has installed for themselves."""
    os.environ |= QUIET
    os.environ.pop("QA_MODELS_DIR", None)
    elsewhere = tempfile.TemporaryDirectory(prefix="verbatim-tests-")
    config.add_cleanup(elsewhere.cleanup)
    os.environ["XDG_DATA_HOME"] = elsewhere.name
    there = {path.parent.name for path in catalog.BUNDLED.glob("*/model.json")}
    if there != BUNDLED:
        changed = ", ".join(sorted(there ^ BUNDLED))
        pytest.exit(f"Tests need models/ as it came; bring back or move elsewhere: {changed}", 1)


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader.load()


@pytest.fixture(scope="session")
def larger() -> Reader:
    """The larger of the two bundled models."""
    return Reader.load(LARGER)


@pytest.fixture(scope="session")
def windower() -> Windower:
    card = catalog.find(catalog.DEFAULT)
    return Windower(card.folder / "tokenizer.json", card.frame, LONGEST_ANSWER)


@pytest.fixture(scope="session")
def reader_of(windower: Windower) -> Callable[[Model], Reader]:
    """Return a function that puts a fake model behind the real tokenizer."""
    card = catalog.find(catalog.DEFAULT)
    return lambda model: Reader(card, windower, model)
