"""The models page: a model is fetched, watched, stopped and removed in the browser."""

import json
import pickle
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from qa import catalog, published
from tests import tiny_ir
from tests.bad_server import BadServer, Fault, serving
from tests.browser.conftest import ROOT, free_port, started, wait_for
from tests.tiny_ir import ALIAS, NAME

pytestmark = pytest.mark.browser

BIN = f"{NAME}.bin"
SLOWLY = Fault(pause=0.5)  # after each 32 KB: three seconds in all

# Python runs a module of this name before anything else: here, to publish one more model.
SITE_CUSTOMIZE = """
import pickle
from pathlib import Path
from qa import published

published.PUBLISHED = pickle.loads(Path({file!r}).read_bytes())
"""


@dataclass(frozen=True)
class Host:
    """A running app, the publisher of its small model, and the folder it keeps models in."""

    url: str
    publisher: BadServer
    models: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "publisher" / NAME).mkdir(parents=True)
    with serving(folder / "publisher") as publisher:
        entry = tiny_ir.make(publisher.root / NAME, "https://publisher.invalid/" + NAME)
        file = folder / "published.pickle"
        file.write_bytes(pickle.dumps((entry, *published.PUBLISHED)))
        (folder / "sitecustomize.py").write_text(SITE_CUSTOMIZE.format(file=str(file)))
        environment = {
            "PYTHONPATH": f"{folder}:{ROOT}",
            "QA_MODELS_DIR": str(folder / "models"),
            "QA_MIRROR": publisher.url,
            "QA_PREINSTALL": "",
            "NO_PROXY": "127.0.0.1",
        }
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        with started(["--port", str(port)], **environment) as process:
            wait_for(url, process)
            yield Host(url, publisher, folder / "models", environment)


Visit = Callable[..., Page]


@pytest.fixture
def visit(host: Host, browser: Browser) -> Iterator[Visit]:
    """Return a function that opens the models page in a new visitor's browser. Fails where the page
    reports an error or asks any other host for anything."""
    contexts = []
    complaints: list[str] = []

    def note(url: str) -> None:
        if not url.startswith((host.url, "data:", "blob:")):
            complaints.append(url)

    def open_page(**options: Any) -> Page:
        settings = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        context = browser.new_context(**{**settings, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: note(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(f"{host.url}models")
        expect(row_of(page)).to_be_visible(timeout=30_000)
        return page

    host.publisher.fails(BIN, Fault())
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def row_of(page: Page) -> Locator:
    """Return the row of the small model's buttons."""
    return page.locator(".vb-model", has=page.get_by_role("heading", name="Tiny"))


def press(page: Page, name: str) -> None:
    row_of(page).get_by_role("button", name=name, exact=True).click()


def expect_buttons(page: Page, *names: str) -> None:
    expect(row_of(page).get_by_role("button")).to_have_text(list(names))


def table_row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has_text=name)
