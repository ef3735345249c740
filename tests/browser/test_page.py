"""The ask page, as a person uses it."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from qa import Reader, Result
from tests.browser.axe import SCHEMES, show_in
from tests.browser.conftest import ROOT, App, Visit
from tests.test_answers_html import contrast

pytestmark = pytest.mark.browser

EXAMPLES = json.loads((ROOT / "examples/questions.json").read_text(encoding="utf-8"))

# Where each mark begins and ends in the text of its box, in code points.
MARKS = """() => {
  const box = document.querySelector(".vb-passage");
  return [...box.querySelectorAll("mark")].map((mark) => {
    const before = document.createRange();
    before.setStart(box, 0);
    before.setEndBefore(mark);
    const start = [...before.toString()].length;
    const end = start + [...mark.textContent].length;
    return { rank: Number(mark.dataset.rank), start, end, text: mark.textContent };
  });
}"""

# How far to the right an element or anything in it reaches.
WIDEST = """(element) => Math.max(
  ...[element, ...element.querySelectorAll("*")].map((e) => e.getBoundingClientRect().right)
)"""

# Colour and ground of an element: the nearest background that is not transparent.
COLOURS = """(element) => {
  const colour = getComputedStyle(element).color;
  let ground = "rgba(0, 0, 0, 0)";
  for (let e = element; e && /, 0\\)$/.test(ground); e = e.parentElement) {
    ground = getComputedStyle(e).backgroundColor;
  }
  return [colour, ground];
}"""


def example(number: int) -> tuple[str, str, list[str]]:
    """Return title, passage and questions of an example."""
    file, entry = list(EXAMPLES.items())[number]
    passage = (ROOT / "examples" / file).read_text(encoding="utf-8").strip()
    return entry["title"], passage, [item["question"] for item in entry["questions"]]


def passage_box(page: Page) -> Locator:
    return page.get_by_label("Passage", exact=True)


def question_box(page: Page) -> Locator:
    return page.get_by_label("Question", exact=True)


def ask(page: Page, question: str, passage: str | None = None) -> None:
    if passage is not None:
        passage_box(page).fill(passage)
    question_box(page).fill(question)
    question_box(page).press("Enter")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def expect_result(page: Page, result: Result, passage: str) -> None:
    """Fail unless the page shows exactly this result about this passage."""
    scores = [f"{answer.score:.1%}" for answer in result.answers]
    items = page.locator(".vb-answer")
    expect(items.locator("b")).to_have_text([answer.text for answer in result.answers])
    expect(items.locator(".vb-score")).to_have_text(
        [score if score != "0.0%" else re.compile(r"^(<0\.1|0\.0)%$") for score in scores]
    )
    expect(page.locator(".vb-passage")).to_have_text(re.compile(re.escape(result.answers[0].text)))
    assert page.locator(".vb-passage").evaluate("box => box.textContent") == passage
    assert sorted(page.evaluate(MARKS), key=lambda mark: mark["rank"]) == [
        {"rank": rank, "start": answer.start, "end": answer.end, "text": answer.text}
        for rank, answer in enumerate(result.answers, 1)
    ]


def test_on_arrival_an_example_is_answered(visit: Visit, reader: Reader) -> None:
    page = visit()
    _, passage, questions = example(0)
    expect(page).to_have_title("Verbatim")
    expect(passage_box(page)).to_have_value(passage)
    expect(question_box(page)).to_have_value(questions[0])
    expect_result(page, reader.answer(questions[0], passage), passage)


def test_enter_and_the_button_ask(visit: Visit, reader: Reader) -> None:
    page = visit()
    passage = (
        "İzmir 👩‍👩‍👧 is warm. Zoë was born in Århus in 1987 & moved to <Rome> in 2011.\n\nEnd."
    )
    ask(page, "Where was Zoë born?", passage)
    expect_result(page, reader.answer("Where was Zoë born?", passage), passage)
    question_box(page).fill("When did she move?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect_result(page, reader.answer("When did she move?", passage), passage)


def test_the_number_of_answers_can_be_chosen(visit: Visit, reader: Reader) -> None:
    page = visit()
    _, passage, questions = example(0)
    for number in (7, 1):
        choose(page, "Number of answers", str(number))
        expect(page.locator(".vb-answer")).to_have_count(number)
        expect_result(page, reader.answer(questions[0], passage, top_k=number), passage)


def test_the_model_can_be_chosen(app: App, visit: Visit, reader: Reader) -> None:
    page = visit()
    _, passage, questions = example(0)
    first, second = (each.answer(questions[0], passage) for each in (reader, app.unsure))
    assert f"{first.answers[0].score:.1%}" != f"{second.answers[0].score:.1%}"
    choose(page, "Model", "Unsure")
    expect_result(page, second, passage)


def test_examples_can_be_clicked(visit: Visit, reader: Reader) -> None:
    page = visit()
    title, passage, questions = example(1)
    page.get_by_role("button", name=title, exact=True).click()
    expect(passage_box(page)).to_have_value(passage)
    expect(question_box(page)).to_have_value(questions[0])
    expect_result(page, reader.answer(questions[0], passage), passage)
    page.get_by_role("button", name=questions[1], exact=True).click()
    expect(question_box(page)).to_have_value(questions[1])
    expect_result(page, reader.answer(questions[1], passage), passage)


def test_what_is_wrong_is_said_beside_the_field(visit: Visit) -> None:
    page = visit()
    for question, passage, field, sentence in (
        ("Who?", " \n\t", "Passage", "The passage is empty; paste the text to ask about."),
        ("  ", "A text.", "Question", "The question is empty; type what you want to know."),
        ("\u200b", "A text.", "Question", "no readable characters"),
    ):
        ask(page, question, passage)
        error = page.get_by_role("alert")
        expect(error).to_contain_text(sentence)
        expect(page.locator("mark")).to_have_count(0)
        box, place = page.get_by_label(field, exact=True).bounding_box(), error.bounding_box()
        assert box is not None
        assert place is not None
        assert 0 <= place["y"] - (box["y"] + box["height"]) < 30
        expect(page.locator(".toast-wrap [data-testid=toast-body]")).to_have_count(0)
        ask(page, "What is it?", "It is a text.")
        expect(error).to_have_count(0)
        expect(page.locator('mark[data-rank="1"]')).to_be_visible()


def test_a_question_that_was_cut_is_said_to_be(visit: Visit) -> None:
    page = visit()
    expect(page.locator(".vb-note")).to_have_count(0)
    ask(page, "How tall is the tower " + "that stands on the reef " * 20 + "?")
    expect(page.locator(".vb-note")).to_contain_text("its end was left out")


def test_a_long_passage_is_read_in_windows_and_scrolled_to_the_answer(
    visit: Visit, reader: Reader
) -> None:
    page = visit()
    text = (ROOT / "examples/expedition.txt").read_text(encoding="utf-8").strip()
    question, passage = "What were the kittens called?", f"{text}\n\n{text[:3000]}"
    result = reader.answer(question, passage)
    assert result.windows > 5
    page.evaluate("scrollTo(0, 20)")
    scrolled = page.evaluate("scrollY")
    ask(page, question, passage)
    expect_result(page, result, passage)
    figures = page.locator(".vb-figures")
    expect(figures).to_contain_text(f"Tokens{result.tokens:,}")
    expect(figures).to_contain_text(f"Windows{result.windows}")
    for step in ("Tokenize", "Run", "Rank", "In all"):
        expect(figures).to_contain_text(re.compile(rf"{step}[\d.]+ m?s"))
    box = page.locator(".vb-passage")
    mark = box.locator('mark[data-rank="1"]')
    expect(mark).to_be_in_viewport()
    inside, seen = mark.bounding_box(), box.bounding_box()
    assert inside is not None
    assert seen is not None
    assert seen["y"] <= inside["y"]
    assert inside["y"] + inside["height"] <= seen["y"] + seen["height"]
    assert box.evaluate("box => box.scrollTop") > 100
    assert page.evaluate("scrollY") == scrolled


HOSTILE = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"
    '<svg onload="window.ran = 3"></svg></div></mark>" onmouseover="window.ran = 4" '
    "${window.ran = 5} {{constructor}} {{{this}}} `${window.ran = 6}` &lt;b&gt; javascript:alert(7)"
)


def test_hostile_text_is_shown_and_not_run(visit: Visit, reader: Reader) -> None:
    page = visit()
    passage = f"The captain is Ada. {HOSTILE} The ship is the {HOSTILE}."
    ask(page, f"Who is the captain? {HOSTILE}", passage)
    expect_result(page, reader.answer(f"Who is the captain? {HOSTILE}", passage), passage)
    choose(page, "Number of answers", "10")
    expect(page.locator(".vb-answer")).to_have_count(10)
    page.locator(".vb-passage").hover()
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert page.locator("#vb-answering script, #vb-answering img, #vb-answering svg").count() == 0


def test_text_that_json_and_html_cannot_carry_is_answered(visit: Visit) -> None:
    page = visit()
    passage_box(page).evaluate(
        """(box) => {
          box.value = "The bell \\ud800 was cast in 1839\\u0000 by Ann\\udfff Reed.";
          box.dispatchEvent(new Event("input", { bubbles: true }));
        }"""
    )
    ask(page, "Who cast the bell?")
    expect(page.locator(".vb-passage")).to_have_text(
        re.compile("The bell \ufffd was cast in 1839\ufffd by Ann\ufffd Reed")
    )
    expect(page.locator('mark[data-rank="1"]')).to_contain_text("Ann")


def test_a_result_is_announced(visit: Visit, reader: Reader) -> None:
    page = visit()
    status = page.locator("#vb-ranked").get_by_role("status")
    expect(status).to_have_count(1)
    handle = status.element_handle()
    _, passage, questions = example(0)
    ask(page, questions[1])
    best = reader.answer(questions[1], passage).answers[0]
    expect(status).to_have_text(f"3 answers. The best, {best.score:.1%}: {best.text}")
    # A screen reader speaks when a region it knows changes, not when it is replaced by another.
    assert handle.evaluate("element => element.isConnected")


def test_a_phone_shows_one_column_that_fits(visit: Visit) -> None:
    width = 360
    page = visit(viewport={"width": width, "height": 844}, has_touch=True)
    ask(
        page, "What is it?", f"It is a very long word: {'x' * 300} and {'https://a.example/' * 20}."
    )
    expect(page.locator(".vb-passage")).to_contain_text("It is a very long word")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#vb-answering").evaluate(WIDEST) <= width
    assert page.locator(".vb-passage").evaluate("box => box.scrollWidth - box.clientWidth") == 0
    question, passage = (
        question_box(page).bounding_box(),
        page.locator(".vb-passage").bounding_box(),
    )
    assert question is not None
    assert passage is not None
    assert passage["y"] > question["y"] + question["height"]
    assert passage["x"] + passage["width"] <= width


def test_nothing_moves_when_an_answer_arrives(visit: Visit) -> None:
    page = visit()
    before = page.locator(".vb-passage").bounding_box()
    ask(page, "How tall is the tower?")
    expect(page.locator(".vb-answer b").first).to_contain_text("38")
    assert page.locator(".vb-passage").bounding_box() == before


@pytest.mark.parametrize("address", ["", "questions", "models"])
def test_a_wide_window_has_the_page_in_its_middle(visit: Visit, address: str) -> None:
    page = visit(address, viewport={"width": 1920, "height": 900})
    place = page.locator("main.contain").bounding_box()
    assert place is not None
    assert 1200 < place["width"] < 1300
    assert abs(place["x"] + place["width"] / 2 - 960) < 10  # a scrollbar's half


@pytest.mark.long
def test_text_can_be_read_in_both_themes(visit: Visit) -> None:
    page = visit()
    ask(page, "", "")
    expect(page.get_by_role("alert")).to_be_visible()
    for scheme in SCHEMES:
        show_in(page, scheme)
        assert read_contrast(page.get_by_role("alert"))[0] >= 4.5
    ask(page, "Where?", "In the north of the island, near a lake, on a hill, by an old mill.")
    expect(page.locator('mark[data-rank="2"]')).to_be_visible()
    for scheme in SCHEMES:
        show_in(page, scheme)
        expect_readable(page, scheme)


def expect_readable(page: Page, scheme: str) -> None:
    """Fail where a text and its ground are too alike, or all grounds are the page's."""
    grounds = set()
    for selector in (
        ".vb-masthead h1",
        ".vb-masthead p",
        "#vb-passage textarea",
        "#vb-question input",
        "#vb-asking [data-testid=block-info]",
        "#vb-settings input",
        "#vb-ask",
        "#vb-texts .gallery-item",
        "#vb-answering h2",
        ".vb-score",
        ".vb-sentence",
        ".vb-passage",
        'mark[data-rank="1"]',
        'mark[data-rank="2"]',
        ".vb-figures dt",
    ):
        ratio, ground = read_contrast(page.locator(selector).first)
        assert ratio >= 4.5, selector
        grounds.add(ground)
    body = read_contrast(page.locator("body"))[1]
    assert (int(body[1:3], 16) > 128) == (scheme == "light")
    assert len(grounds) > 2


def read_contrast(element: Locator) -> tuple[float, str]:
    """Return an element's contrast and its ground."""
    colour, ground = (
        "#" + "".join(f"{int(channel):02x}" for channel in re.findall(r"\d+", value)[:3])
        for value in element.evaluate(COLOURS)
    )
    return contrast(colour, ground), ground


def test_the_app_itself_speaks_to_this_machine_only(app: App, visit: Visit) -> None:
    page = visit()
    ask(page, "How tall is the tower?")
    expect(page.locator(".vb-answer b").first).to_contain_text("38")
    lines = Path(app.spoken_to).read_text(encoding="utf-8").splitlines()
    assert lines  # Gradio looks at itself when it starts
    for line in lines:
        assert re.search(r"127\.0\.0\.1|localhost|::1", line), line
