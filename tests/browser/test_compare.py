"""Comparing models: the tab, as a person uses it, and `/compare`."""

import shutil
from html import unescape
from pathlib import Path

import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, expect

from qa import Reader, Result
from tests.browser.axe import violations
from tests.browser.conftest import ROOT, App, Visit
from tests.browser.test_page import WIDEST, ask, choose, example
from ui.text import percent

pytestmark = pytest.mark.browser

TITLE, PASSAGE, QUESTIONS = example(0)
ELSEWHERE = "Which team won the football match?"  # of which the passage says nothing
LONG = (ROOT / "examples/expedition.txt").read_text(encoding="utf-8") * 8


def open_compare(page: Page) -> Locator:
    page.get_by_role("tab", name="Compare").click()
    button = page.get_by_role("button", name="Compare", exact=True)
    expect(button).to_be_visible()
    return button


def expect_row(page: Page, place: int, title: str, result: Result) -> None:
    """Fail unless the row of this model shows this result."""
    row = page.locator(".vb-sides tbody tr").nth(place)
    expect(row.get_by_role("rowheader")).to_contain_text(title)
    expect(row.locator("li bdi")).to_have_text([answer.text for answer in result.answers])
    expect(row.locator("li .vb-score").first).to_have_text(
        unescape(percent(result.answers[0].score))
    )
    assert result.no_answer is not None
    expect(row.locator("[data-column='No answer'] div")).to_contain_text("%")
    expect(row.locator("[data-column='Time'] div")).to_contain_text("s")


def test_models_stand_side_by_side(app: App, visit: Visit, reader: Reader, larger: Reader) -> None:
    page = visit()
    compare = open_compare(page)
    compare.press("Enter")
    expect(page.locator(".vb-verdict")).to_contain_text("All agree: 3 September 1847.")
    expect(compare).to_be_focused()
    expect_row(page, 0, reader.card.title, reader.answer(QUESTIONS[0], PASSAGE))
    expect_row(page, 1, larger.card.title, larger.answer(QUESTIONS[0], PASSAGE))
    expect_row(page, 2, "Unsure", app.unsure.answer(QUESTIONS[0], PASSAGE))
    expect(page.locator(".vb-differs")).to_have_count(0)
    expect(page.locator(".vb-dots circle")).to_have_count(3)
    # Two are sure that the passage does not say it, the third is never sure.
    answers = [each.answer(ELSEWHERE, PASSAGE) for each in (reader, larger, app.unsure)]
    assert [each.probably_no_answer for each in answers] == [True, True, False]
    choose(page, "Model", "Unsure")
    score = unescape(percent(app.unsure.answer(QUESTIONS[0], PASSAGE).answers[0].score))
    expect(page.locator(".vb-answer .vb-score").first).to_have_text(score)
    page.wait_for_timeout(500)
    expect(page.locator(".vb-sides")).to_have_count(1)  # it is about the same question
    choose(page, "Model", reader.card.title)
    ask(page, ELSEWHERE)
    expect(page.locator(".vb-sides")).to_have_count(0)  # it was about another question
    compare.click()
    expect(page.locator(".vb-verdict")).to_have_text("2 of 3 say: the passage does not say.")
    expect_row(page, 0, reader.card.title, answers[0])
    expect(page.locator(".vb-sides tbody tr").first).to_contain_text("does not say")
    expect(page.locator(".vb-sides tbody tr").nth(2)).to_contain_text("≠ differs")
    expect(page.locator(".vb-differs")).to_have_count(1)
    expect(page.get_by_role("table").locator("caption")).to_have_text(ELSEWHERE)
    # What cannot be asked is said, and can be mended.
    page.get_by_label("Question", exact=True).fill(" ")
    compare.click()
    expect(page.locator("#vb-compared [role=alert]")).to_contain_text("The question is empty")


def test_stop_stops(visit: Visit) -> None:
    page = visit()
    compare = open_compare(page)
    page.get_by_label("Passage", exact=True).fill(LONG)
    compare.click()
    expect(page.locator(".vb-sides tbody tr").first).to_contain_text("reading")
    expect(page.locator(".vb-verdict")).to_have_text("Asking…")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".vb-verdict")).to_contain_text("Stopped.")
    expect(page.locator(".vb-sides tbody tr").last).to_contain_text("not asked to its end")
    expect(page.get_by_role("button", name="Stop", exact=True).last).to_be_disabled()


def test_a_damaged_model_spoils_nothing(visit: Visit, unsure_model: Path) -> None:
    broken = unsure_model / "broken"
    shutil.copytree(unsure_model / "unsure", broken)
    card = (broken / "model.json").read_text(encoding="utf-8")
    (broken / "model.json").write_text(
        card.replace('"unsure"', '"broken"').replace('"Unsure"', '"Broken <b>"'), encoding="utf-8"
    )
    model = broken / "model.onnx"
    model.write_bytes(bytes(model.stat().st_size))
    try:
        page = visit(viewport={"width": 390, "height": 844}, color_scheme="dark")
        open_compare(page).click()
        rows = page.locator(".vb-sides tbody tr")
        expect(page.locator(".vb-verdict")).to_contain_text("The 3 that answered agree")
        expect(rows).to_have_count(4)
        expect(rows.nth(1)).to_contain_text("Broken <b>")
        expect(rows.nth(1).locator(".vb-error")).to_contain_text("install it again")
        expect(rows.nth(3)).to_contain_text("3 September 1847")
        assert violations(page) == []
        assert page.locator("#vb-compared").evaluate(WIDEST) <= 390
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    finally:
        shutil.rmtree(broken)


def test_the_endpoint_asks_every_model(app: App, reader: Reader, larger: Reader) -> None:
    client = Client(app.url, verbose=False)
    try:
        found = client.predict(QUESTIONS[0], PASSAGE, 2, api_name="/compare")
        with pytest.raises(AppError, match="The passage is empty"):
            client.predict(QUESTIONS[0], " ", api_name="/compare")
    finally:
        client.close()
    names = [reader.card.name, larger.card.name, "unsure"]
    assert [model["model"] for model in found["models"]] == names
    for model, asked in zip(found["models"], (reader, larger, app.unsure), strict=True):
        result = asked.answer(QUESTIONS[0], PASSAGE, 2).to_dict()
        assert model["error"] is None
        assert {**model["result"], "milliseconds": 0} == {**result, "milliseconds": 0}
    assert found["agree"] is True
    assert found["opinions"] == [{"text": "3 September 1847", "models": names}]
