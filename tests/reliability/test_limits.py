"""Limits: whatever is too much is refused in a sentence that says what the limit is."""

import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qa import QAError, Reader, answer_sheet, questionnaire
from qa.answer_sheet import Row
from qa.documents import Document
from qa.questionnaire import Item
from qa.spans import WindowLogits
from qa.windows import Window
from tests.fakes import RandomModel
from tests.reliability.host import API, Host, running
from ui.gate import Rate

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
    assert "There are 21 questions, the limit is 20" in data["error"]
    outcome, data = host.call("answer_many", "Who wrote it?\n" * 20, PASSAGE)
    assert data[0]["questions"] == 20
    assert b"At most 20 questions at once." in host.get("/questions")[1]


def test_a_body_that_says_its_length_is_refused_before_it_is_sent(host: Host) -> None:
    status, _, body = host.send(
        "POST", f"{API}/call/answer", content_length="99999999", content_type="application/json"
    )
    assert status == 413
    assert "more than 300,000 characters" in json.loads(body)["detail"]


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
    assert "more than 300,000 characters" in json.loads(body)["detail"]


def test_files_are_refused_by_their_size(host: Host, uploads: Path) -> None:
    before = set(uploads.rglob("*"))  # what other tests sent
    for size in (1_100_000, 5_000_000):
        status, answer = host.upload("long.txt", b"x" * size)
        assert status == 413, answer
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
    reader.max_seconds = 0.1
    items = questionnaire.read("Who?\n" * 1000, Document(PASSAGE))
    rows: list[Row] = []
    with pytest.raises(QAError, match=r"longer than 0\.1 seconds, the limit here; ask these"):
        rows.extend(answer_sheet.ask(reader, items, 1, pause=pause))
    assert all(row.result for row in rows)
    assert 0 < len(rows) <= 6
    # Those that are in time are all there; one that is not alone says so itself.
    assert len(list(answer_sheet.ask(reader, items[:2], 1, pause=pause))) == 2
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
