"""Limits: whatever is too much is refused in a sentence that says what the limit is."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio.routes import App
from starlette.middleware import Middleware

from qa import QAError, Reader, answer_sheet, questionnaire
from qa.answer_sheet import Row
from qa.documents import Document
from qa.questionnaire import Item
from qa.spans import WindowLogits
from qa.windows import Window
from tests import loops
from tests.fakes import RandomModel
from tests.reliability.host import API, Host, running
from ui.closing import Closing
from ui.gate import Gate, Rate
from ui.limits import Limits

PASSAGE = "Ada Lovelace wrote the first program in 1843. It was for a machine of Babbage's. "


def test_health_is_cheap_and_says_the_model(host: Host) -> None:
    status, headers, body = host.send("GET", "/health")
    assert (status, json.loads(body)) == (200, {"status": "ok", "model": "minilm-l6-squad-int8"})
    assert headers["cache-control"] == "no-store"


def test_characters(host: Host) -> None:
    outcome, error = host.call("answer", "Who?", "x " * 150_001)
    assert outcome == "error"
    assert "300,002 characters, the limit is 300,000" in error["error"]


def test_questions(host: Host) -> None:
    outcome, data = host.call("answer_many", "Who wrote it?\n" * 21, PASSAGE)
    assert outcome == "error"
    assert "There are more than 20 questions, the limit here" in data["error"]
    outcome, data = host.call("answer_many", "Who wrote it?\n" * 20, PASSAGE)
    assert data[0]["questions"] == 20
    assert b"At most 20 questions at once." in host.get("/questions")[1]


def test_a_body_that_says_its_length_is_refused_before_it_is_sent(host: Host) -> None:
    status, _, body = host.send(
        "POST", f"{API}/call/answer", content_length="99999999", content_type="application/json"
    )
    assert status == 413
    assert "may have 300,000 characters" in json.loads(body)["detail"]


def test_a_body_that_hides_its_length_is_refused_while_it_is_sent(host: Host) -> None:
    chunk = b"%x\r\n" % 1_000_000 + b"x" * 1_000_000 + b"\r\n"
    status, _, body = host.send(
        "POST",
        f"{API}/call/answer",
        chunk * 6 + b"0\r\n\r\n",
        transfer_encoding="chunked",
        content_type="application/json",
    )
    assert status == 413
    assert "may have 300,000 characters" in json.loads(body)["detail"]


def test_files_are_refused_by_their_size(host: Host, uploads: Path) -> None:
    before = set(uploads.rglob("*"))  # what other tests sent
    for size, said in (
        (1_100_000, "File size exceeded maximum allowed size of "),
        (5_000_000, "Files opened at once may have 1 MB together; choose fewer."),
    ):
        status, answer = host.upload("long.txt", b"x" * size)
        assert status == 413, answer
        assert answer.startswith(said)  # the page shows it as it came
    assert set(uploads.rglob("*")) == before


@pytest.mark.long
def test_a_full_queue_says_so_at_once(tmp_path: Path) -> None:
    with running(tmp_path, "--max-queue", "2") as host:
        long = " ".join(f"Day {i}: the log of the ship says nothing." for i in range(30_000))
        begun, refused = [], None
        for _ in range(10):
            before = time.monotonic()
            status, body = host.post(f"{API}/call/answer", {"data": ["Who?", long, None, 1]})
            if status != 200:
                refused = (status, body["detail"], time.monotonic() - before)
                break
            begun.append(body["event_id"])
        assert refused is not None
        assert refused[0] == 503
        assert "Verbatim is busy: 2 requests are waiting already" in refused[1]
        assert refused[2] < 10
        assert len(begun) >= 2
        assert host.get("/health")[0] == 200


@pytest.mark.parametrize("way", ["run", "api"])
def test_nothing_is_answered_past_the_queue(host: Host, way: str) -> None:
    assert host.post(f"{API}/{way}/answer", {"data": ["Who?", PASSAGE, None, 1]})[0] == 404


class Gated:
    """An app of one function, which answers when it may, behind a gate."""

    def __init__(self, limits: Limits, auth: tuple[str, str] | None = None) -> None:
        self.may_answer = asyncio.Event()

        async def repeat(text: str) -> str:
            await self.may_answer.wait()
            return text

        with gr.Blocks() as blocks:
            gr.events.api(repeat, api_name="queued", concurrency_limit=2)
            gr.events.api(repeat, api_name="at_once", queue=False)
        blocks.auth = [auth] if auth else None
        gate = Middleware(Gate, limits=limits, closing=Closing())
        self._app = App.create_app(blocks, app_kwargs={"middleware": [gate]})
        self.queue = blocks._queue
        self.queue.start()

    def visitor(self, address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self._app, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url="http://host")

    async def until_worked_on(self, events: int) -> None:
        while self.queue.get_active_worker_count() != events:
            await asyncio.sleep(0.001)


async def post(visitor: httpx.AsyncClient, path: str) -> int:
    answer = await visitor.post(f"{API}/{path}", json={"data": ["aye"]})
    return answer.status_code


def test_one_visitor_cannot_take_every_place() -> None:
    async def come() -> None:
        gated = Gated(Limits(requests_a_minute=120))
        ada, eve = gated.visitor("192.0.2.1"), gated.visitor("192.0.2.2")
        assert [await post(ada, "call/queued") for _ in range(5)] == [200] * 5
        await gated.until_worked_on(2)  # while three wait
        past = [asyncio.create_task(post(ada, "run/at_once")) for _ in range(4)]
        await asyncio.wait(past, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert [each.done() for each in past] == [False] * 3 + [True]
        assert past[3].result() == 429
        refused = await ada.post(f"{API}/call/queued", json={"data": ["aye"]})
        assert refused.status_code == 429
        assert refused.json()["detail"].startswith("8 requests of yours are waiting or worked on")
        assert await post(eve, "call/queued") == 200
        gated.may_answer.set()
        assert await asyncio.gather(*past) == [200] * 3 + [429]
        await gated.until_worked_on(0)
        assert await post(ada, "call/queued") == 200

    loops.run(come())


def test_what_is_answered_past_the_queue_is_bounded_too() -> None:
    async def come() -> list[int]:
        gated = Gated(Limits(waiting=3))
        ada = gated.visitor("192.0.2.1")
        answers = [asyncio.create_task(post(ada, "run/at_once")) for _ in range(4)]
        await asyncio.wait(answers, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        gated.may_answer.set()
        return await asyncio.gather(*answers)

    assert loops.run(come()) == [200] * 3 + [503]


def test_passwords_cannot_be_guessed_quickly() -> None:
    async def come() -> None:
        gated = Gated(Limits(), auth=("ada", "secret"))
        ada, eve = gated.visitor("192.0.2.1"), gated.visitor("192.0.2.2")
        for number in range(20):
            guess = {"username": "ada", "password": str(number)}
            assert (await eve.post("/login/", data=guess)).status_code == 400
        known = {"username": "ada", "password": "secret"}
        refused = await eve.post("/login", data=known)
        assert refused.status_code == 429
        assert "More than 20 logins in a minute came from you" in refused.json()["detail"]
        assert (await ada.post("/login", data=known)).status_code == 200

    loops.run(come())


def test_visitors_who_come_too_often_wait_and_others_do_not() -> None:
    rate = Rate(30)
    assert [rate.wait("a", now=0.0) for _ in range(30)] == [0] * 30
    assert rate.wait("a", now=0.0) == 3
    assert rate.wait("b", now=0.0) == 0
    assert rate.wait("a", now=2.1) == 0
    assert rate.wait("a", now=2.1) > 0
    assert [rate.wait("a", now=1000.0) for _ in range(31)][29:] == [0, 3]


def test_the_visitors_remembered_are_bounded() -> None:
    rate = Rate(2)
    for number in range(30_000):
        rate.wait(str(number), now=0.0)
    assert len(rate._buckets) == 10_000


class Slow(RandomModel):
    def run(self, window: Window) -> WindowLogits:
        time.sleep(0.02)
        return super().run(window)


def test_a_request_that_takes_too_long_is_ended(reader_of: Callable[..., Reader]) -> None:
    reader = reader_of(Slow())
    reader.max_seconds = 0.1
    begun = time.monotonic()
    with pytest.raises(QAError, match=r"longer than 0\.1 seconds, the limit here"):
        reader.answer("Who?", PASSAGE * 1000)
    assert time.monotonic() - begun < 2
    assert reader.answer("Who?", PASSAGE).answers


@pytest.mark.parametrize("pause", [0, math.inf])
def test_many_questions_that_together_take_too_long_are_ended(
    reader_of: Callable[..., Reader], pause: float
) -> None:
    reader = reader_of(Slow())
    reader.max_seconds = 0.5
    items = questionnaire.read("Who?\n" * 1000, Document(PASSAGE))
    rows: list[Row] = []
    with pytest.raises(QAError, match=r"longer than 0\.5 seconds, the limit here; ask these"):
        rows.extend(answer_sheet.ask(reader, items, 1, pause=pause))
    assert all(row.result for row in rows)
    assert 0 < len(rows) <= 26
    # Those that are in time are all there; one that is not alone says so itself.
    assert len(list(answer_sheet.ask(reader, items[:2], 1, pause=pause))) == 2
    long = Item("", "Who?", Document(PASSAGE * 1000))
    with pytest.raises(QAError, match="ask these questions in parts"):
        list(answer_sheet.ask(reader, [*items[:1], long], 1, pause=math.inf))  # the last one
    (alone,) = answer_sheet.ask(reader, [Item("", "Who?", Document(PASSAGE * 1000))], 1)
    assert "about a part of the passage" in alone.error


@pytest.mark.long
def test_what_was_answered_in_time_stays_on_the_page(tmp_path: Path) -> None:
    with running(tmp_path, "--time-limit", "1") as host:
        ((number, kinds),) = host.events("_ask_all")
        texts = iter(["Who wrote it?\n" * 1000, PASSAGE])
        inputs = [next(texts) if kind == "textbox" else None for kind in kinds]
        shown = json.dumps(host.event(number, *inputs)["output"]["data"])
        assert "Answering takes longer than 1 seconds, the limit here" in shown
        assert "Stopped. " in shown
        assert '"Ada Lovelace"' in shown


def test_a_closed_reader_ends_what_is_being_read(reader_of: Callable[..., Reader]) -> None:
    reader = reader_of(RandomModel())
    stream = reader.stream("Who?", PASSAGE * 1000, pause=0)
    next(stream)
    threading.Thread(target=reader.close).start()
    with pytest.raises(QAError, match="is being stopped"):
        list(stream)
