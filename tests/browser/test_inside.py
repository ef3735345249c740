"""Looking inside: the tab, as a person uses it, and `/look_inside`."""

import re
from itertools import product
from pathlib import Path

import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, expect

from qa import Reader
from qa.inside import look
from tests.browser.axe import SCHEMES, Form, in_both_forms, show_in, violations_in
from tests.browser.conftest import ROOT, App, Visit
from tests.browser.test_page import (
    HOSTILE,
    WIDEST,
    ask,
    choose,
    example,
    question_box,
    read_contrast,
)

pytestmark = pytest.mark.browser

TITLE, PASSAGE, QUESTIONS = example(0)
LONG = (ROOT / "examples/expedition.txt").read_text(encoding="utf-8").strip()


def open_inside(page: Page) -> Locator:
    page.get_by_role("tab", name="Look inside").click()
    inside = page.locator(".vb-inside")
    expect(inside).to_be_visible()
    return inside


def listed(page: Page) -> list[list[str]]:
    """Return the rows of the n-best list."""
    cells: list[list[str]] = page.locator(".vb-spans tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return cells


def expect_inside(page: Page, reader: Reader, question: str, passage: str, rank: int) -> None:
    """Fail unless the tab shows what the model said of this answer."""
    inside = look(reader, question, passage, rank)
    chosen = inside.chosen
    words = page.locator(".vb-sum").locator("xpath=preceding-sibling::p[1]")
    expect(words).to_contain_text(f"Answer {rank}, {chosen.text}, does best in window")
    figures = page.locator(".vb-sum dd").all_inner_texts()
    logits = (chosen.start_logit, chosen.end_logit, chosen.null_logit, chosen.logit)
    assert figures[:4] == [f"{logit:.2f}".replace("-", "−") for logit in logits]
    rows = [row[1] for row in listed(page)]
    candidates = [*inside.candidates, *({chosen} - {*inside.candidates})]
    assert rows == [
        each.text + (f" answer {each.rank}" if each.rank else "") for each in candidates
    ]
    expect(page.locator(".vb-spans tr[aria-current] bdi")).to_have_text([chosen.text])
    window = inside.windows[chosen.window - 1]
    shown = page.locator(".vb-window").evaluate(
        """text => {
          const copy = text.cloneNode(true);
          copy.querySelectorAll("rt").forEach((figure) => figure.remove());
          return copy.textContent;
        }"""
    )
    assert shown == passage[window.start : window.end]
    assert page.locator(".vb-map rect").count() == len(inside.windows)
    expect(page.locator(".vb-map")).to_contain_text(f"window {chosen.window} won")


def test_it_shows_why_the_chosen_answer_won_and_follows(
    app: App, visit: Visit, reader: Reader
) -> None:
    page = visit()
    open_inside(page)
    expect_inside(page, reader, QUESTIONS[0], PASSAGE, 1)
    page.locator(".vb-choose").nth(1).click()
    second = reader.answer(QUESTIONS[0], PASSAGE).answers[1]
    expect(page.locator(".vb-spans tr[aria-current] bdi")).to_have_text([second.text])
    expect_inside(page, reader, QUESTIONS[0], PASSAGE, 2)
    with page.expect_request(
        lambda sent: "queue/join" in sent.url and "expedition last" in (sent.post_data or "")
    ):
        ask(page, "How long did the expedition last?", LONG)
    question_box(page).fill("What is typed meanwhile?")
    expect(page.locator(".vb-map rect")).to_have_count(8)
    expect_inside(page, reader, "How long did the expedition last?", LONG, 1)
    # While another tab is open nothing is computed; what has happened there shows on coming back.
    before = listed(page)
    page.get_by_role("tab", name="In the passage").click()
    ask(page, QUESTIONS[1], PASSAGE)
    expect(page.locator(".vb-passage")).to_contain_text(PASSAGE[:40])
    page.wait_for_timeout(500)
    assert listed(page) == before
    open_inside(page)
    expect(page.locator(".vb-map rect")).to_have_count(1)
    expect_inside(page, reader, QUESTIONS[1], PASSAGE, 1)
    choose(page, "Model", "Unsure")
    best = app.unsure.answer(QUESTIONS[1], PASSAGE).answers[0]
    expect(page.locator(".vb-sum dd").last).to_have_text(f"{best.score:.1%}")


def test_it_makes_way_for_a_file_that_is_opened(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    open_inside(page)
    file = tmp_path / "lamp.txt"
    file.write_text("Ada lit the lamp.", encoding="utf-8")
    page.locator("input[type=file]").first.set_input_files(file)
    expect(page.locator(".vb-inside")).to_have_count(0)
    expect(page.locator("#vb-inside")).to_contain_text("Ask a question first")


def test_hostile_text_is_shown_and_not_run(visit: Visit, reader: Reader) -> None:
    page = visit()
    passage = f"The captain is Ada {HOSTILE}. The ship is the {HOSTILE}."
    question = f"Who is the captain? {HOSTILE}"
    ask(page, question, passage)
    expect(page.locator(".vb-passage")).to_contain_text("The captain is Ada")
    open_inside(page)
    expect_inside(page, reader, question, passage, 1)
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert page.locator("#vb-inside script, #vb-inside img").count() == 0
    # What cannot be asked has nothing to see; why is said once, beside the question.
    ask(page, " ")
    expect(page.locator("#vb-inside .vb-empty")).to_contain_text("Ask a question first.")
    expect(page.get_by_role("alert")).to_have_count(1)


def test_the_keyboard_opens_the_tab_and_scrolls_the_list(visit: Visit) -> None:
    page = visit(viewport={"width": 390, "height": 844})
    page.get_by_role("tab", name="In the passage").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Look inside")).to_be_focused()
    page.keyboard.press("Enter")
    spans = page.get_by_role("region", name="The best spans")
    expect(spans).to_be_visible()
    for _ in range(10):
        page.keyboard.press("Tab")
        if spans.evaluate("region => region === document.activeElement"):
            break
    expect(spans).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".vb-window").evaluate(WIDEST) <= 390


@in_both_forms
def test_nobody_is_kept_out(visit: Visit, forms: tuple[Form, ...]) -> None:
    page = visit()
    open_inside(page)
    assert violations_in(page, forms) == []
    # Where the ground is a gradient axe-core gives up: the deepest tint of either kind.
    for scheme, shade in product(SCHEMES, ("--vb-start-faint", "--vb-end-faint")):
        show_in(page, scheme)
        page.locator(".vb-window").evaluate(
            "(text, shade) => { text.style.background = `var(${shade})`; }", shade
        )
        assert read_contrast(page.locator(".vb-window"))[0] >= 4.5, (scheme, shade)


def test_the_endpoint_gives_what_python_gives(client: Client, reader: Reader) -> None:
    found = client.predict(QUESTIONS[0], PASSAGE, rank=2, api_name="/look_inside")
    expected = look(reader, QUESTIONS[0], PASSAGE, 2).to_dict()
    assert found["chosen"] == pytest.approx(expected["chosen"], abs=1e-4)
    assert found["tokens"][0] == pytest.approx(expected["tokens"][0], abs=1e-4)
    assert [each["text"] for each in found["candidates"]] == [
        each["text"] for each in expected["candidates"]
    ]
    assert found.keys() == expected.keys()
    start = PASSAGE.index("whale oil")
    other = client.predict(
        QUESTIONS[0], PASSAGE, start=start, end=start + 9, api_name="/look_inside"
    )
    assert other["chosen"]["text"] == "whale oil"


def test_bad_input_gets_the_sentence(client: Client) -> None:
    for named, sentence in (
        ({"rank": 101}, "The rank must be a whole number from 1 to 100"),
        ({"rank": 0}, "The rank must be a whole number from 1 to 100"),
        ({"start": 0}, "Give both start and end, or neither"),
        ({"end": 5}, "Give both start and end, or neither"),
        ({"start": 0, "end": 5}, "No answer can stand from 0 to 5"),
        ({"model": "no-such-model"}, "There is no model 'no-such-model'"),
    ):
        with pytest.raises(AppError, match=re.escape(sentence)):
            client.predict(QUESTIONS[0], PASSAGE, **named, api_name="/look_inside")
