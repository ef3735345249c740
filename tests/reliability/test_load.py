"""Many visitors at once: nothing fails, everybody gets the answers they would get alone, and memory
does not grow."""

import itertools
import logging
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.memory import resident
from qa import Reader
from tests.reliability.browsers import with_browser
from tests.reliability.host import Host, running
from tests.texts import prose

TEXT = (
    "The ferry Marigold left Port Ellis at dawn with forty sheep and one violin. "
    "Captain Ines Duarte had steered her for nineteen years. In 1952 a storm took her mast. "
)
QUESTIONS = ("When did the ferry leave?", "Who steered her?", "What did the storm take?")


def visits(visitors: int, questions: int, longest: int = 2_000) -> Iterator[tuple[str, str]]:
    """Return what is asked, of passages of mixed lengths: from a few words to several windows."""
    chance = random.Random(7)
    lengths = [0, 50, 300, 300, longest]
    for number in range(visitors * questions):
        filler = prose(chance.choice(lengths))
        cut = chance.randrange(len(filler) + 1)
        passage = f"{filler[:cut]} {TEXT} {filler[cut:]} {number}"
        yield chance.choice(QUESTIONS), passage


def stripped(answers: list[dict[str, object]]) -> list[tuple[object, object, object]]:
    return [(answer["text"], answer["start"], answer["end"]) for answer in answers]


def visit_in(browser: Browser, url: str) -> None:
    """Ask in a browser."""
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(f"{url}/")
    page.get_by_label("Passage", exact=True).fill(TEXT)
    page.get_by_label("Question").fill("Who steered her?")
    page.get_by_label("Question").press("Enter")
    first = page.locator('mark[data-rank="1"]')
    expect(first).to_contain_text("Ines Duarte", timeout=60_000)


@pytest.mark.parametrize(
    ("visitors", "questions", "browsers", "longest"),
    [
        (6, 2, 0, 300),
        pytest.param(50, 20, 3, 2_000, marks=[pytest.mark.long, pytest.mark.browser]),
    ],
)
def test_everybody_gets_their_answers(
    host: Host, reader: Reader, visitors: int, questions: int, browsers: int, longest: int
) -> None:
    asked = list(visits(visitors, questions, longest))
    alone = [reader.answer(question, passage).to_dict()["answers"] for question, passage in asked]
    with ThreadPoolExecutor(visitors) as pool, ThreadPoolExecutor() as browser_pool:
        begin = threading.Barrier(visitors)

        def visit(mine: list[tuple[str, str]]) -> list[list[dict[str, object]]]:
            begin.wait()
            return [host.answer(question, passage)["answers"] for question, passage in mine]

        begun = time.monotonic()
        shares = [asked[start : start + questions] for start in range(0, len(asked), questions)]
        given = pool.map(visit, shares)
        browsing = partial(with_browser, lambda browser: visit_in(browser, host.url))
        for one in [browser_pool.submit(browsing) for _ in range(browsers)]:
            one.result()
        together = list(itertools.chain.from_iterable(given))
    logging.info("%d requests in %.0f seconds", len(together), time.monotonic() - begun)
    assert len(together) == visitors * questions
    for one, other in zip(alone, together, strict=True):
        assert stripped(one) == stripped(other)
        for left, right in zip(one, other, strict=True):
            assert left["score"] == pytest.approx(right["score"], abs=1e-4)


@pytest.mark.long
def test_memory_stays(tmp_path: Path) -> None:
    """Of an app that nobody else has asked anything."""
    early, late = 200, 2_000
    asked = itertools.cycle(visits(20, 1))
    with running(tmp_path) as host, ThreadPoolExecutor(4) as pool:

        def ask(times: int) -> float:
            list(pool.map(lambda each: host.answer(*each), itertools.islice(asked, times)))
            return resident(host.process.pid)

        before = ask(early)
        after = ask(late - early)
    logging.info("%.1f MB after %d requests, %.1f MB after %d", before, early, after, late)
    assert 0 < after < 1.05 * before
