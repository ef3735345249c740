"""Whoever leaves, or says stop, ends the work that was done for them, and no other."""

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App
from playwright.sync_api import Browser, expect

from qa import Reader, answer_sheet, comparison, documents, inside, questionnaire
from qa.documents import Document
from qa.errors import StoppedError
from qa.reader import Model
from qa.spans import WindowLogits
from qa.windows import Window
from tests import loops
from tests.browser.conftest import ROOT
from tests.document_files import pdf_of_streams
from tests.fakes import RandomModel
from tests.reliability.browsers import with_browser
from tests.reliability.host import API, Host, running
from tests.reliability.test_safety import META
from tests.reliability.test_uploads import files, until_as
from tests.texts import prose
from ui import presence
from ui.many import shelve
from ui.page import LEFT_BEHIND
from ui.uploads import Sent

LONG = prose(30_000)


class LeftAfterThree(RandomModel):
    """Counts windows; whoever asked leaves while the third is read."""

    def __init__(self) -> None:
        self.read = 0

    def run(self, window: Window) -> WindowLogits:
        self.read += 1
        return super().run(window)

    def wanted(self) -> bool:
        return self.read < 3


@pytest.mark.parametrize(
    "work",
    [
        lambda reader: reader.answer("Who?", LONG),
        lambda reader: list(reader.stream("Who?", LONG, pause=0)),
        lambda reader: inside.look(reader, "Who?", LONG),
        lambda reader: list(
            answer_sheet.ask(reader, questionnaire.read("Who?\nWhen?", Document(LONG)), 1)
        ),
        lambda reader: list(comparison.compare([reader.card] * 2, lambda _: reader, "Who?", LONG)),
    ],
    ids=["answer", "stream", "look inside", "many questions", "compare"],
)
def test_no_window_is_read_for_nobody(
    reader_of: Callable[[Model], Reader], work: Callable[[Reader], object]
) -> None:
    model = LeftAfterThree()
    reader = reader_of(model)
    with pytest.raises(StoppedError):
        work(reader.wanted_while(model.wanted))
    assert model.read == 3
    assert reader.answer("Who?", "Ada did.").complete  # others share it


def test_files_are_opened_for_so_long_and_for_nobody_else(tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(9)]
    sent = [Sent(tmp_path / name, name) for name in names]
    for file in sent:
        file.path.write_text(f"The text of {file.name}.", encoding="utf-8")
    looks = iter([True, True, False])
    opened, wrong = shelve(sent, {}, documents.LIMITS, 60, lambda: next(looks))
    assert (list(opened), wrong) == (["0.txt", "1.txt"], [])

    def slow() -> bool:
        time.sleep(0.02)
        return True

    later, (wrong_now,) = shelve(sent[2:], opened, documents.LIMITS, 0.1, slow)
    assert 2 < len(later) < 9
    assert later.items() >= opened.items()
    first = f"{len(later)}.txt"
    assert "longer than 0.1 seconds, the limit here; open again what was left out" in wrong_now
    assert wrong_now.endswith(f", from {first} on.")


@pytest.mark.parametrize("listens", [True, False])
def test_whoever_never_listens_is_not_there(monkeypatch: pytest.MonkeyPatch, listens: bool) -> None:
    monkeypatch.setattr(presence, "UNHEARD", 0.2)
    stayed = []

    def work() -> None:
        there, ends = presence.of_caller(), time.monotonic() + 0.4
        while there() and time.monotonic() < ends:
            time.sleep(0.01)
        stayed.append(there())

    async def ask() -> None:
        with gr.Blocks() as blocks:
            gr.events.api(work, api_name="work")
        transport = httpx.ASGITransport(App.create_app(blocks))
        blocks._queue.start()
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            path = f"{API}/call/work"
            event = (await client.post(path, json={"data": []})).json()["event_id"]
            if listens:
                await client.get(f"{path}/{event}")
            while not stayed:
                await asyncio.sleep(0.01)

    loops.run(ask())
    assert stayed == [listens]


def log(host: Host, endpoint: str) -> list[dict[str, Any]]:
    """Return what the app noted about requests to an endpoint."""
    lines = [json.loads(line) for line in host.wrote().splitlines() if line.startswith("{")]
    return [line for line in lines if line["endpoint"] == endpoint]


def wait_until(happened: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def listening(host: Host, path: str) -> Iterator[http.client.HTTPResponse]:
    """Open a stream of events, and hang up at the end of the block."""
    connection = http.client.HTTPConnection(host.address, host.port, timeout=60)
    connection.request("GET", path, headers={"Connection": "close"})
    with closing(connection.getresponse()) as response:
        yield response


@pytest.mark.parametrize(
    ("endpoint", "data"),
    [
        ("answer", ["Who?", LONG, None, 1]),
        ("answer_many", ["Who?\nWhen?\nWhere?", LONG, None, 1]),
        ("look_inside", ["Who?", LONG]),
        ("compare", ["Who?", LONG, 1]),
    ],
)
def test_programs_that_hang_up(host: Host, endpoint: str, data: list[Any]) -> None:
    before = len(log(host, f"/{endpoint}"))
    status, begun = host.post(f"{API}/call/{endpoint}", {"data": data})
    assert status == 200
    with listening(host, f"{API}/call/{endpoint}/{begun['event_id']}"):
        time.sleep(0.3)
    wait_until(lambda: len(log(host, f"/{endpoint}")) > before)
    assert log(host, f"/{endpoint}")[-1]["outcome"] == "stopped"


def test_a_page_that_is_closed(host: Host) -> None:
    ((number, kinds),) = host.events("_ask")
    texts = iter(["Who?", LONG])
    inputs: list[Any] = [next(texts) if kind == "textbox" else None for kind in kinds]
    inputs[kinds.index("dropdown") + 1] = 3
    before = len(log(host, "page"))
    body = {"data": inputs, "fn_index": number, "session_hash": "leaves"}
    assert host.post(f"{API}/queue/join", body)[0] == 200
    with listening(host, f"{API}/queue/data?session_hash=leaves") as stream:
        until(stream, b"process_generating")
    wait_until(lambda: len(log(host, "page")) > before)
    assert log(host, "page")[-1]["outcome"] == "stopped"


def test_files_of_a_page_that_is_closed(host: Host, uploads: Path) -> None:
    """Those that were opened stay open for whoever comes back; the others are gone."""
    ((number, kinds),) = host.events("_read_passages")
    content = pdf_of_streams([b"BT /F1 9 Tf 9 9 Td (A bell.) Tj ET\n"])

    def join(*names: str) -> None:
        sent = [host.upload(name, content)[1][0] for name in names]
        value = [{"path": path, "orig_name": Path(path).name, "meta": META} for path in sent]
        inputs = [value if kind == "uploadbutton" else None for kind in kinds]
        body = {"data": inputs, "fn_index": number, "session_hash": "opens"}
        assert host.post(f"{API}/queue/join", body)[0] == 200

    before = files(uploads)
    names = [f"{each}.pdf" for each in range(20)]
    join(*names)
    with listening(host, f"{API}/queue/data?session_hash=opens") as stream:
        until(stream, b"process_starts")
        time.sleep(0.5)
    until_as(before, uploads)
    join("last.pdf")
    with listening(host, f"{API}/queue/data?session_hash=opens") as stream:
        shown = next(line.decode() for line in stream if b"process_completed" in line)
    assert "<code>last.pdf</code>" in shown
    assert 0 < sum(f"<code>{name}</code>" in shown for name in names) < len(names)


def test_those_who_wait_are_told_their_place(host: Host) -> None:
    """Two passages are read at a time. Of two more visitors the second is told that one is before
    them, and that none is once somebody has left."""
    ((number, _),) = host.events("answer")
    visitors = [f"visitor-{each}" for each in range(4)]
    with ExitStack() as all_leave:
        for visitor in visitors:
            body = {"data": ["Who?", LONG, None, 1], "fn_index": number, "session_hash": visitor}
            assert host.post(f"{API}/queue/join", body)[0] == 200
        first, *_, third, last = [
            all_leave.enter_context(listening(host, f"{API}/queue/data?session_hash={visitor}"))
            for visitor in visitors
        ]
        until(third, b'"msg":"estimation"', b'"rank":0')
        until(last, b'"msg":"estimation"', b'"rank":1', b'"queue_size":2')
        first.close()
        until(third, b'"msg":"process_starts"')
        until(last, b'"msg":"estimation"', b'"rank":0', b'"queue_size":1')


def until(stream: http.client.HTTPResponse, *parts: bytes) -> None:
    """Read messages up to one that has all these parts."""
    for line in stream:
        if all(part in line for part in parts):
            return
    raise AssertionError(f"The stream ended without {parts}.")


# app.py, looking every second for files that were never opened.
IMPATIENT = """
import runpy, sys
sys.path[0] = {root!r}
from ui import page
page.LEFT_BEHIND = (1, 1)
runpy.run_path({root!r} + "/app.py", run_name="__main__")
"""


def test_files_that_were_never_opened_stay_for_fifteen_minutes_at_most() -> None:
    look_every, oldest = LEFT_BEHIND
    assert look_every + oldest <= 15 * 60


@pytest.mark.long
def test_files_that_were_never_opened_do_not_stay(tmp_path: Path) -> None:
    """Nor do those that are there when the app stops, nor those that a killed one left."""
    (tmp_path / "app.py").write_text(IMPATIENT.format(root=str(ROOT)), encoding="utf-8")
    kept = tmp_path / "kept"
    environment = {"GRADIO_TEMP_DIR": str(kept), "GRADIO_ANALYTICS_ENABLED": "False"}
    with running(tmp_path, environment=environment) as host:
        _, (left,) = host.upload("left.txt", b"text")
    assert Path(left).exists()
    with running(tmp_path, environment=environment, root=tmp_path) as host:
        wait_until(lambda: not Path(left).exists())
        status, (file,) = host.upload("left.txt", b"text")
        assert status == 200
        assert Path(file).exists()
        wait_until(lambda: not Path(file).exists())
    with running(tmp_path, environment=environment) as host:
        _, (file,) = host.upload("left.txt", b"text")
        assert Path(file).exists()
        assert host.stop() == 0
        assert not Path(file).exists()


@pytest.mark.browser
@pytest.mark.long
def test_pages_say_how_many_are_before_you_and_stop_when_told(tmp_path: Path) -> None:
    """Two visitors compare: one waits and sees it; the first closes the tab, and the other's turn
    has come at once; then they say stop. And looking inside ends with the tab, too."""
    with running(tmp_path, "--log") as host:
        with_browser(lambda browser: compare_in(browser, host))
        assert [line["outcome"] for line in log(host, "compare")] == ["stopped", "stopped"]


def compare_in(browser: Browser, host: Host) -> None:
    first, second = (browser.new_context(reduced_motion="reduce").new_page() for _ in range(2))
    for page in (first, second):
        page.goto(f"{host.url}/")
        page.get_by_label("Passage", exact=True).fill(LONG, timeout=60_000)
        page.get_by_role("tab", name="Compare").click()
    first.get_by_role("button", name="Compare", exact=True).click()
    expect(first.locator(".vb-verdict")).to_have_text("Asking…", timeout=60_000)
    second.get_by_role("button", name="Compare", exact=True).click()
    expect(second.get_by_text("queue: 1/1")).to_be_visible(timeout=60_000)
    first.close()
    expect(second.locator(".vb-verdict")).to_have_text("Asking…", timeout=60_000)
    second.get_by_role("button", name="Stop", exact=True).last.click()
    expect(second.locator(".vb-verdict")).to_contain_text("Stopped.", timeout=60_000)
