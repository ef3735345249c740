"""Many visitors at once: nothing fails, everybody gets the answers they would get alone, and memory
does not grow."""

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from qa import Reader
from tests.reliability.browsers import with_browser
from tests.reliability.host import Host, running
from tests.texts import prose

pytestmark = pytest.mark.long

TEXT = (
    "The ferry Marigold left Port Ellis at dawn with forty sheep and one violin. "
    "Captain Ines Duarte had steered her for nineteen years. In 1952 a storm took her mast. "
)
QUESTIONS = ("When did the ferry leave?", "Who steered her?", "What did the storm take?")


def visits(visitors: int, questions: int) -> Iterator[tuple[str, str]]:
    """Return what is asked, of passages of mixed lengths: from a few words to several windows."""
    chance = random.Random(7)
    lengths = [0, 50, 300, 300, 2_000]
    for number in range(visitors * questions):
        filler = prose(chance.choice(lengths))
        cut = chance.randrange(len(filler) + 1)
        passage = f"{filler[:cut]} {TEXT} {filler[cut:]} {number}"
        yield chance.choice(QUESTIONS), passage


def stripped(answers: list[dict[str, object]]) -> list[tuple[object, object, object]]:
    return [(answer["text"], answer["start"], answer["end"]) for answer in answers]


def visit_in(browser: Browser, url: str, browsers: int) -> None:
    """Ask in so many browsers at once."""
    pages = [browser.new_context(reduced_motion="reduce").new_page() for _ in range(browsers)]
    for page in pages:
        page.goto(f"{url}/")
    for page in pages:
        page.get_by_label("Passage").fill(TEXT)
        page.get_by_label("Question").fill("Who steered her?")
        page.get_by_label("Question").press("Enter")
    for page in pages:
        first = page.locator('mark[data-rank="1"]')
        expect(first).to_contain_text("Ines Duarte", timeout=60_000)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("visitors", "questions", "browsers"),
    [(8, 3, 1), pytest.param(50, 20, 3, marks=pytest.mark.long)],
)
def test_everybody_gets_their_answers(
    tmp_path: Path,
    reader: Reader,
    visitors: int,
    questions: int,
    browsers: int,
) -> None:
    asked = list(visits(visitors, questions))
    alone = [reader.answer(question, passage).to_dict()["answers"] for question, passage in asked]
    with running(tmp_path) as host, ThreadPoolExecutor(visitors) as pool:
        begin = threading.Barrier(visitors)

        def visit(mine: list[tuple[str, str]]) -> list[list[dict[str, object]]]:
            begin.wait()
            return [host.answer(question, passage)["answers"] for question, passage in mine]

        shares = [asked[start : start + questions] for start in range(0, len(asked), questions)]
        given = pool.map(visit, shares)
        with_browser(lambda browser: visit_in(browser, host.url, browsers))
        together = list(itertools.chain.from_iterable(given))
    assert len(together) == visitors * questions
    for one, other in zip(alone, together, strict=True):
        assert stripped(one) == stripped(other)
        for left, right in zip(one, other, strict=True):
            assert left["score"] == pytest.approx(right["score"], abs=1e-4)


@pytest.mark.parametrize(
    ("early", "late", "growth"),
    [(30, 90, 0.10), pytest.param(200, 2_000, 0.05, marks=pytest.mark.long)],
)
def test_memory_stays(host: Host, early: int, late: int, growth: float) -> None:
    asked = itertools.cycle(visits(20, 1))
    with ThreadPoolExecutor(4) as pool:

        def ask(times: int) -> int:
            list(pool.map(lambda each: host.answer(*each), itertools.islice(asked, times)))
            return host.memory()

        before = ask(early)
        assert ask(late - early) < before * (1 + growth)
