"""The app as a person starts it, once for all browser tests, and headless Chromium to see it."""

import dataclasses
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from qa import Reader, catalog
from tests.conftest import persons_environment

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",  # which root may not use
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]
MAX_CHARS = 400_000  # of a passage; less than the default, so that tests can exceed it
PATIENCE = 30_000  # milliseconds until what is expected must be there, on a busy machine
START_SECONDS = 90  # how long a busy machine may take; how long it should take is benchmarked

# Python runs a module of this name before anything else: here, to write down every address that
# the app looks up or connects to.
SITE_CUSTOMIZE = """
import sys

def note(event, arguments, file=open({file!r}, "a", buffering=1)):
    if event == "socket.connect":
        print("connect", arguments[1], file=file)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        print("lookup", arguments[0], file=file)

sys.addaudithook(note)
"""


@dataclasses.dataclass(frozen=True)
class App:
    """A running app: where it is, its process, the addresses it spoke to, and a model it can use
    that is not bundled."""

    url: str
    process: int
    spoken_to: Path
    unsure: Reader


@contextmanager
def started(arguments: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start app.py with these arguments and stop it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=persons_environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[str]) -> None:
    """Wait until a page is served."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    process.terminate()
    output = process.stdout.read() if process.stdout else ""
    pytest.fail(f"The app does not serve {url}:\n{output}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def unsure_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with one: the default one again, but less sure of itself."""
    bundled = catalog.find(catalog.DEFAULT).folder
    folder = tmp_path_factory.mktemp("models") / "unsure"
    shutil.copytree(bundled, folder)
    card = json.loads((bundled / "model.json").read_text(encoding="utf-8"))
    card |= {"name": "unsure", "title": "Unsure", "aliases": [], "temperature": 5.0}
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return folder.parent


@pytest.fixture(scope="session")
def app(unsure_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    site = tmp_path_factory.mktemp("site")
    spoken_to = site / "addresses"
    customize = SITE_CUSTOMIZE.format(file=str(spoken_to))
    (site / "sitecustomize.py").write_text(customize, encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    environment = {
        "PYTHONPATH": str(site),
        "QA_MODELS_DIR": str(unsure_model),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
    }
    with started(["--max-chars", str(MAX_CHARS)], **environment) as process:
        wait_for(url, process)
        yield App(url, process.pid, spoken_to, Reader.load(unsure_model / "unsure"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.fail("The browser tests need Chromium: install it (Debian: apt install chromium).")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def client(app: App) -> Iterator[Client]:
    """Another program that calls the app."""
    client = Client(app.url, verbose=False)
    yield client
    client.close()


# Of each page, what it still awaits replies to.
_AWAITED: WeakKeyDictionary[Page, set[Request]] = WeakKeyDictionary()


def follow(page: Page) -> None:
    """Keep account of what a page awaits replies to, for `await_replies`."""
    awaited = _AWAITED[page] = set()
    asks = re.compile("/(queue|run)/")
    page.on("request", lambda each: awaited.add(each) if asks.search(each.url) else None)
    for ends in ("requestfinished", "requestfailed"):
        page.on(ends, lambda each: awaited.discard(each))  # Playwright takes no built-in


def await_replies(page: Page) -> None:
    """Wait until a page may be left. Gradio's client complains where it has not yet the replies to
    what it asked; it may hang up itself when it has them, and then ask what follows."""
    deadline = time.monotonic() + PATIENCE / 1000
    quiet = 0
    while quiet < 10:
        awaited = sorted(each.url for each in _AWAITED[page])
        assert time.monotonic() < deadline, f"the replies do not end: {awaited}"
        page.wait_for_timeout(20)
        quiet = 0 if awaited else quiet + 1


@pytest.fixture
def visit(app: App, browser: Browser) -> Iterator[Visit]:
    """Return a function that opens the page in a new visitor's browser, at an address below the
    app's, with Playwright's context options. Fails where the page reports an error or asks any
    other host for anything."""
    contexts = []
    elsewhere: list[str] = []
    complaints: list[str] = []

    def listen(page: Page) -> None:
        follow(page)
        page.on("request", lambda request: note(request.url))
        page.on("websocket", lambda websocket: note(websocket.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)

    def note(url: str) -> None:
        if not url.startswith((app.url, "data:", "blob:")):
            elsewhere.append(url)

    def open_page(address: str = "", **options: object) -> Page:
        settings = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        context = browser.new_context(**{**settings, **options})  # type: ignore[arg-type]
        contexts.append(context)
        context.on("page", listen)
        page = context.new_page()
        page.goto(app.url + address)
        if not address:
            expect(page.locator('mark[data-rank="1"]')).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert complaints == []
