"""An app with small limits, once for all tests that leave it as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import SITE_CUSTOMIZE
from tests.reliability.host import Host, running

LIMITS = {
    "--max-chars": 300_000,
    "--max-file-mb": 1,
    "--max-questions": 20,
}


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the app and its libraries keep what is temporary."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="session")
def uploads(temporary: Path) -> Path:
    """Where the app keeps files while they are being opened."""
    folder = temporary / "uploads"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def spoken_to(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the addresses that the app looks up or connects to."""
    return tmp_path_factory.mktemp("site") / "addresses"


@pytest.fixture(scope="session")
def host(
    tmp_path_factory: pytest.TempPathFactory, temporary: Path, uploads: Path, spoken_to: Path
) -> Iterator[Host]:
    flags = [str(part) for flag in LIMITS.items() for part in flag]
    customize = SITE_CUSTOMIZE.format(file=str(spoken_to))
    (spoken_to.parent / "sitecustomize.py").write_text(customize, encoding="utf-8")
    environment = {
        "TMPDIR": str(temporary),
        "GRADIO_TEMP_DIR": str(uploads),
        "PYTHONPATH": str(spoken_to.parent),
    }
    with running(
        tmp_path_factory.mktemp("host"), *flags, "--log", "--no-fetch", environment=environment
    ) as host:
        yield host
