"""The models page: a model is fetched, watched, stopped and removed in the browser."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Locator, Page, expect

import app
from qa import catalog, published
from tests import tiny_ir
from tests.bad_server import BadServer, Fault, serving
from tests.browser.axe import SCHEMES, Form, in_both_forms, show_in, violations, violations_in
from tests.browser.conftest import ROOT, await_replies, follow, free_port, started, wait_for
from tests.browser.test_page import WIDEST, read_contrast
from tests.conftest import BUNDLED
from tests.tiny_ir import ALIAS, NAME

pytestmark = pytest.mark.browser

BIN = f"{NAME}.bin"
SLOWLY = Fault(pause=4)  # after each 32 KB: half a minute in all
INSTALLED = "Installed. The ask page offers it."

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


@dataclass(frozen=True)
class Public:
    """A running app whose visitors may not fetch, the folder its owner installs models in, and what
    it said when it started."""

    url: str
    models: Path
    said: list[str]


@pytest.fixture(scope="module")
def public(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    models = tmp_path_factory.mktemp("public")
    environment = {
        **host.environment,
        "QA_MODELS_DIR": str(models),
        "QA_PREINSTALL": f"no-such-model, {ALIAS}",
    }
    host.publisher.fails(BIN, Fault())
    port = free_port()
    arguments = ["--port", str(port), "--no-fetch", "--model", NAME]
    with started(arguments, **environment) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        url = f"http://127.0.0.1:{port}/"
        wait_for(url, process)
        yield Public(url, models, said)


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
        follow(page)
        with page.expect_request(lambda request: "/queue/data" in request.url):
            page.goto(f"{host.url}models")
        await_replies(page)
        expect(row_of(page)).to_be_visible()
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
    # By its heading: the cells of a model may name another one, its teacher.
    heading = page.get_by_role("rowheader").filter(has_text=name)
    return page.get_by_role("row").filter(has=heading)


def config(url: str) -> dict[str, Any]:
    """Return what the app tells browsers about the components and events of all its pages."""
    with urllib.request.urlopen(f"{url}config") as response:
        found: dict[str, Any] = json.load(response)
    return found


def events(app: dict[str, Any]) -> set[str]:
    """Return the names of the events on the models page."""
    on_page = set(app["page"]["models"]["dependencies"])
    return {
        target[1]
        for event in app["dependencies"]
        if event["id"] in on_page
        for target in event["targets"]
    }


def buttons(app: dict[str, Any]) -> int:
    on_page = set(app["page"]["models"]["components"])
    return sum(c["type"] == "button" for c in app["components"] if c["id"] in on_page)


def test_all_models_are_listed(visit: Visit) -> None:
    page = visit()
    expect(page).to_have_title("Models · Verbatim")
    rows = page.get_by_role("table").get_by_role("row")
    expect(rows).to_have_count(1 + len(BUNDLED) + 1 + len(published.PUBLISHED))
    for bundled in BUNDLED:
        expect(table_row(page, bundled)).to_contain_text("Installed")
    large = table_row(page, "bert-large-uncased-whole-word-masking-squad-int8-0001")
    for shown in (
        "bert-large-uncased-whole-word-masking-squad-int8-onnx-0001",
        "BERT-large uncased, whole word masking",
        "369 MB",
        "334 million",
        "246.93",
        "86.36",
        "92.6",
        "the publisher's figures",
        "Apache-2.0",
        "Not installed",
    ):
        expect(large).to_contain_text(shown)


def test_a_model_is_fetched_and_then_offered_and_removed(visit: Visit, host: Host) -> None:
    other, page = visit(), visit()
    row, status = row_of(page), row_of(page).get_by_role("status")
    expect_buttons(page, "Fetch 0.2 MB")
    expect(table_row(page, NAME)).to_contain_text("Not installed")
    assert host.publisher.requests == []  # never by itself
    host.publisher.fails(BIN, SLOWLY)

    press(page, "Fetch 0.2 MB")
    expect(row).to_contain_text(re.compile(r"0\.[12] of 0\.2 MB, 0\.\d MB/s, 0:\d\d left"))
    bar = row.get_by_role("progressbar", name="Fetching Tiny")
    expect(bar).to_have_attribute("value", re.compile(r"\d{5}"))
    expect(status).to_have_text("Fetching Tiny")
    expect_buttons(page, "Stop")
    # Whoever comes meanwhile, or comes back, sees the same.
    await_replies(other)
    other.reload()
    expect(row_of(other)).to_contain_text(re.compile(r"MB/s, 0:\d\d left"))
    host.publisher.hurry.set()

    for each in (page, other):
        expect(row_of(each).get_by_role("status")).to_have_text(
            "Installed. The ask page offers it."
        )
        expect_buttons(each, "Remove")
        expect(table_row(each, NAME)).not_to_contain_text("Not installed")
    assert catalog.read_card(host.models / NAME).aliases == (ALIAS,)

    await_replies(other)
    other.get_by_role("link", name="Ask", exact=True).click()
    other.get_by_role("combobox", name="Model").click()
    other.get_by_role("option", name="Tiny", exact=True).click()
    other.get_by_label("Passage", exact=True).fill("The lamp was lit in 1874 by Mara Quill.")
    other.get_by_label("Question", exact=True).fill("Who lit the lamp?")
    other.get_by_label("Question", exact=True).press("Enter")
    expect(other.locator('mark[data-rank="1"]')).to_have_text("Mara Quill")

    press(page, "Remove")
    expect(status).to_contain_text("Remove it? 0.2 MB would have to be fetched")
    expect_buttons(page, "Remove it", "Keep it")
    press(page, "Keep it")
    expect_buttons(page, "Remove")
    assert (host.models / NAME).exists()
    press(page, "Remove")
    press(page, "Remove it")
    expect(status).to_have_text("It is removed.")
    expect_buttons(page, "Fetch 0.2 MB")
    expect(table_row(page, NAME)).to_contain_text("Not installed")
    assert not (host.models / NAME).exists()
    # Whoever still has it chosen is told.
    other.get_by_label("Question", exact=True).press("Enter")
    expect(other.get_by_role("alert")).to_contain_text(f"There is no model '{NAME}'")


def test_a_fetch_can_be_stopped_with_the_keyboard_alone(visit: Visit, host: Host) -> None:
    page = visit()
    host.publisher.fails(BIN, SLOWLY)
    for _ in range(10):  # past the masthead and the measuring of speed
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Fetch 0.2 MB":
            break
    page.keyboard.press("Enter")
    stop = row_of(page).get_by_role("button", name="Stop")
    expect(stop).to_be_focused()
    page.keyboard.press("Enter")
    expect(row_of(page)).to_contain_text("Stopped. What has arrived is kept")
    expect(row_of(page).get_by_role("button", name="Fetch 0.2 MB")).to_be_focused()
    assert not (host.models / NAME).exists()


def test_what_goes_wrong_is_said_beside_the_button(visit: Visit, host: Host) -> None:
    page = visit()
    host.publisher.fails(BIN, Fault(status=404))
    press(page, "Fetch 0.2 MB")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(f"There is no {host.publisher.url}/{NAME}")
    expect(alert).not_to_contain_text("--")  # a page has no flags
    expect_buttons(page, "Fetch 0.2 MB")
    sentence = alert.bounding_box()
    button = row_of(page).get_by_role("button").bounding_box()
    assert sentence is not None
    assert button is not None
    assert abs(sentence["y"] + sentence["height"] / 2 - button["y"] - button["height"] / 2) < 40
    assert not (host.models / NAME).exists()


def test_it_fits_the_screen(visit: Visit) -> None:
    page = visit(viewport={"width": 900, "height": 844}, has_touch=True)
    for width in (900, 360):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for selector in ("#vb-models", "#vb-store"):
            assert page.locator(selector).evaluate(WIDEST) <= width
    fetch = row_of(page).get_by_role("button").bounding_box()
    assert fetch is not None
    assert fetch["height"] >= 44


@in_both_forms
def test_nobody_is_kept_out(visit: Visit, forms: tuple[Form, ...]) -> None:
    assert violations_in(visit(), forms) == []


@pytest.mark.long
def test_text_can_be_read_in_both_themes(visit: Visit) -> None:
    page = visit()
    selectors = (
        ".vb-masthead a",
        ".vb-models th code",
        ".vb-models small",
        ".vb-models td",
        ".vb-models caption",
        "#vb-store p",
        "#vb-store button",
        ".vb-section p",
        ".vb-section button",
    )
    for scheme, selector in product(SCHEMES, selectors):
        show_in(page, scheme)
        assert read_contrast(page.locator(selector).first)[0] >= 4.5, (scheme, selector)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of a model that is the default one, with a reliability diagram on its card."""
    folder = tmp_path / "own"
    shutil.copytree(catalog.find(catalog.DEFAULT).folder, folder)
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    bins = [{"count": 4, "score": 0.25, "right": 0.5}, {"count": 9, "score": 0.75, "right": 1.0}]
    card |= {"name": tmp_path.name, "title": "My <b>own</b>", "aliases": []}
    card["metrics"][0] |= {"expected_calibration_error": 0.25, "reliability": bins}
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


@pytest.mark.long
def test_a_folder_is_added_measured_and_asked(visit: Visit, own: Path, tmp_path: Path) -> None:
    page = visit()
    box = page.get_by_label("Folder")
    box.fill(str(own / "deeper"))
    box.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("There is no folder")
    expect(box).to_have_value(str(own / "deeper"))
    box.fill(str(own))
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("My <b>own</b> is added.")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(table_row(page, tmp_path.name)).to_contain_text("Installed")
    diagram = page.get_by_role("img", name="My <b>own</b>: of 4 answers scored near 25%, 50% right")
    expect(diagram).to_be_visible()

    page.get_by_role("combobox", name="Model to measure").click()
    page.get_by_role("option", name="My <b>own</b>", exact=True).click()
    page.get_by_role("button", name="Measure speed").click()
    speeds = page.locator(".vb-speeds")
    expect(speeds.get_by_role("row")).to_have_count(2, timeout=60_000)
    expect(speeds).to_contain_text(re.compile(r"My <b>own</b>([\d,.]+ ms[\d,.]+ a second){4}"))
    expect(page.locator("#vb-speed progress")).to_have_count(0)
    assert violations(page) == []
    other = visit()
    expect(other.locator(".vb-speeds")).to_contain_text("My <b>own</b>")

    page.get_by_role("link", name="Ask", exact=True).click()
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="My <b>own</b>", exact=True).click()
    expect(page.locator('mark[data-rank="1"]')).to_be_visible()


def test_the_endpoint_lists_what_the_command_line_lists(host: Host) -> None:
    client = Client(host.url, verbose=False)
    listed = client.predict(api_name="/models")["models"]
    client.close()
    command = [sys.executable, "-m", "qa", "models", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **host.environment}, capture_output=True, check=True
    )
    printed = json.loads(done.stdout)["models"]
    assert printed == [model for model in listed if model["name"] in {p["name"] for p in printed}]
    assert NAME in {model["name"] for model in printed}


def test_where_visitors_may_not_fetch_nothing_of_it_is_there(
    host: Host, public: Public, browser: Browser
) -> None:
    allowed, forbidden = config(host.url), config(public.url)
    assert "click" in events(allowed)
    assert buttons(allowed) > 0
    assert events(forbidden) == {"load", "click"}  # the click is the one that measures speed
    assert buttons(forbidden) == 1
    page = browser.new_page()
    page.goto(f"{public.url}models")
    expect(table_row(page, NAME)).to_contain_text("Installedanswers first")
    expect(table_row(page, "bert-small")).to_contain_text("Not installed")
    expect(page.get_by_text("The owner of this host installs models")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Fetch|Remove|Add"))).to_have_count(0)
    expect(page.get_by_label("Folder")).to_have_count(0)
    page.close()


def test_the_owner_names_models_to_install_at_the_start(public: Public) -> None:
    assert public.said[0] == "Fetching the models that QA_PREINSTALL names\n"
    assert public.said[1].startswith("There is no model 'no-such-model' to fetch")
    assert public.said[2].startswith("Verbatim is at")
    assert catalog.read_card(public.models / NAME).aliases == (ALIAS,)


@pytest.mark.parametrize(
    ("arguments", "environment", "allowed"),
    [
        ([], {}, True),
        (["--host", "localhost"], {}, True),
        (["--host", "::1"], {}, True),
        (["--host", "0.0.0.0"], {}, False),
        (["--host", "::"], {}, False),
        ([], {"GRADIO_SERVER_NAME": "192.168.0.2"}, False),
        (["--no-fetch"], {}, False),
        (["--share"], {}, False),
        ([], {"SPACE_ID": "ada/verbatim"}, False),
    ],
)
def test_where_other_computers_can_visit_nobody_may_fetch(
    arguments: list[str],
    environment: dict[str, str],
    allowed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert app._may_fetch(app._parser().parse_args(arguments)) is allowed
