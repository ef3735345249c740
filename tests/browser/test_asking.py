"""What makes asking comfortable: files, counts, history, links, choosing, copying, keys."""

import json
import os
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, Request, expect

from qa import Reader
from tests.browser.axe import Form, in_both_forms, violations, violations_in
from tests.browser.conftest import MAX_CHARS, PATIENCE, App, Visit, await_replies
from tests.browser.test_page import (
    HOSTILE,
    ask,
    choose,
    example,
    expect_result,
    passage_box,
    question_box,
)
from tests.document_files import pdf

pytestmark = pytest.mark.browser

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
TITLE, PASSAGE, QUESTIONS = example(0)
LONG = ((example(5)[1] + "\n\n") * 100)[:MAX_CHARS]
# Where the chosen mark stands in its box, and whether the box shows it.
SEEN = """(mark) => {
  const place = mark.getBoundingClientRect();
  const box = mark.closest(".vb-passage").getBoundingClientRect();
  return box.top <= place.top && place.bottom <= box.bottom;
}"""
DROP = """async (target, [name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  for (const type of ["dragover", "drop"]) {
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    target.dispatchEvent(new DragEvent(type, options));
  }
}"""
# Notes the passages that the page shows, however shortly.
SEEN_PASSAGES = """
  window.passages = new Set();
  (function look() {
    const box = document.querySelector("#vb-passage textarea");
    if (box?.checkVisibility({ visibilityProperty: true })) passages.add(box.value);
    requestAnimationFrame(look);
  })();
"""
# Closes the list of shortcuts and presses "/" before the browser has taken the focus from it.
CLOSE_AND_GO_ON = """dialog => {
  dialog.close();
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }));
}"""
# Whether a file is seen to be opened; asked at every frame, since that may be soon over.
OPENING = """() => document.querySelector("#vb-passage .progress-text")
  ?.checkVisibility({ visibilityProperty: true })"""
# Counts the progress bars that were there, however shortly.
WATCH_BAR = """() => {
  window.bars = 0;
  new MutationObserver(() => { window.bars += document.querySelectorAll(".vb-progress").length; })
    .observe(document.body, { childList: true, subtree: true });
}"""


def paste(page: Page, text: str) -> None:
    """Put a long text into the passage at once, as pasting does."""
    passage_box(page).evaluate(
        """(box, text) => {
          box.value = text;
          box.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        text,
    )


def processor_seconds(process: int) -> float:
    """Return how long a process has been at work so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def chosen(page: Page) -> list[str]:
    """Return the ranks of the chosen answers and of the marks that stand out."""
    elements = page.locator(".vb-answer:has([aria-current]), mark.vb-chosen")
    return [str(element.get_attribute("data-rank")) for element in elements.all()]


def clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_an_answer_is_chosen_with_the_mouse_or_the_keyboard(visit: Visit) -> None:
    page = visit()
    _, passage, questions = example(5)
    ask(page, questions[0], passage)
    expect(page.locator("#vb-history .gallery-item")).to_have_text([questions[0]])
    assert chosen(page) == ["1", "1"]
    page.locator('.vb-answer[data-rank="3"] .vb-sentence').click()
    assert chosen(page) == ["3", "3"]
    assert page.locator("mark.vb-chosen").evaluate(SEEN)
    question_box(page).press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert chosen(page) == ["2", "2"]
    expect(page.locator('.vb-answer[data-rank="2"] .vb-choose')).to_be_focused()
    assert page.locator("mark.vb-chosen").evaluate(SEEN)
    # While an input method composes, its keys are its own.
    for box in (question_box(page), page.locator('.vb-answer[data-rank="2"] .vb-choose')):
        box.dispatch_event("keydown", {"key": "ArrowDown", "isComposing": True})
        assert chosen(page) == ["2", "2"]
    ask(page, questions[1])
    expect(page.locator("#vb-said")).to_have_count(1)
    expect(page.locator('.vb-answer[data-rank="1"] [aria-current]')).to_have_count(1)


def test_an_answer_is_chosen_with_the_keyboard_whatever_is_selected(visit: Visit) -> None:
    page = visit()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    page.locator('.vb-answer[data-rank="2"] .vb-choose').press("Enter")
    assert chosen(page) == ["2", "2"]
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    page.locator('.vb-answer[data-rank="3"] .vb-choose').press("Space")
    assert chosen(page) == ["3", "3"]


def test_only_a_setting_that_changes_asks_anew(visit: Visit) -> None:
    page = visit()
    page.wait_for_timeout(500)  # for what the page asks for when it is opened
    sent: list[str] = []
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(request.url)
            body = json.loads(request.post_data or "{}").get("data") or []
            if QUESTIONS[1] in body or QUESTIONS[2] in body:
                asked.append(request.url)

    page.on("request", note)
    question_box(page).fill(" ")
    for _ in range(6):  # past the button, the model and the number of answers
        page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    assert sent == []
    for number in ("2", "1"):
        asked.clear()
        question_box(page).fill(QUESTIONS[int(number)])
        choose(page, "Number of answers", number)
        expect(page.locator(".vb-answer")).to_have_count(int(number))
        page.wait_for_timeout(500)
        assert len(asked) == 1


def test_a_best_guess_that_is_no_answer_is_pale(visit: Visit) -> None:
    page = visit()
    colour = "element => getComputedStyle(element).backgroundColor"
    best = page.locator('.vb-answer[data-rank="1"] .vb-bar i')
    sure = best.evaluate(colour)
    mark = page.locator("mark.vb-chosen")
    marked = mark.evaluate(colour)
    ask(page, "Which team won the football match?")
    expect(page.locator(".vb-answers.vb-doubtful")).to_have_count(1)
    doubtful = best.evaluate(colour)
    track = page.locator('.vb-answer[data-rank="1"] .vb-bar').evaluate(colour)
    assert len({sure, doubtful, track}) == 3
    assert mark.evaluate(colour) != marked
    score = page.locator('.vb-answer[data-rank="1"] .vb-score')
    assert score.evaluate("element => getComputedStyle(element).fontWeight") == "500"


def test_answers_are_copied(visit: Visit, reader: Reader) -> None:
    page = visit(**CLIPBOARD)
    best, second, _ = reader.answer(QUESTIONS[0], PASSAGE).answers
    page.get_by_role("button", name="Copy answer 1").click()
    expect(page.locator("#vb-said")).to_have_text("Copied")
    assert clipboard(page) == best.text
    page.locator('.vb-answer[data-rank="2"]').click()
    page.locator("#vb-marked .vb-passage").press("c")  # a key of the list alone
    page.wait_for_timeout(100)
    assert page.locator('.vb-answer[data-rank="2"] [data-copied]').count() == 0
    page.locator('.vb-answer[data-rank="2"]').click()
    page.keyboard.press("c")
    expect(page.locator('.vb-answer[data-rank="2"] [data-copied]')).to_have_count(1)
    assert clipboard(page) == second.text
    page.get_by_role("button", name="Copy all as JSON").click()
    expect(page.get_by_role("button", name="Copy all as JSON")).to_have_attribute("data-copied", "")
    copied = json.loads(clipboard(page))
    assert copied["question"] == QUESTIONS[0]
    assert [PASSAGE[a["start"] : a["end"]] for a in copied["answers"]][:2] == [
        best.text,
        second.text,
    ]
    page.get_by_role("button", name="Copy all as CSV").click()
    expect(page.get_by_role("button", name="Copy all as CSV")).to_have_attribute("data-copied", "")
    assert clipboard(page).startswith(
        f'"rank","answer","score","start","end","page"\n1,"{best.text}",'
    )


def test_without_a_clipboard_of_its_own_the_page_copies_or_says_that_it_cannot(
    visit: Visit,
) -> None:
    page = visit()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    button = page.get_by_role("button", name="Copy answer 1")
    for can, says in (("false", "Could not be copied; select the words"), ("true", "Copied")):
        page.evaluate(f"() => {{ document.execCommand = () => {can}; }}")
        button.press("Enter")
        expect(page.locator("#vb-said")).to_contain_text(says)
        expect(page.locator("[data-copied]")).to_have_count(int(can == "true"))
        expect(button).to_be_focused()


def test_a_link_carries_the_question_where_no_server_sees_it(
    app: App, visit: Visit, reader: Reader
) -> None:
    page = visit(**CLIPBOARD)
    passage = "Zoë’s “bell” was cast in 1839 & hung in 1841; a #1 by <b>Ann Reed</b>."
    ask(page, "Who cast the bell?", passage)
    choose(page, "Number of answers", "2")
    expect(page.locator(".vb-answer")).to_have_count(2)
    expect_result(page, reader.answer("Who cast the bell?", passage, 2), passage)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#vb-said")).to_have_text("Link copied")
    address = clipboard(page)
    assert address.startswith(f"{app.url}#question=Who+cast")
    other = visit("health")  # nothing of the app that could still be asking
    other.add_init_script(SEEN_PASSAGES)
    other.goto(address)
    expect(passage_box(other)).to_have_value(passage)
    expect(question_box(other)).to_have_value("Who cast the bell?")
    expect_result(other, reader.answer("Who cast the bell?", passage, 2), passage)
    assert other.evaluate("[...passages]") == [passage]  # and no example before
    resources = "performance.getEntries().map((entry) => entry.name).join()"
    assert "cast" not in other.evaluate(resources).replace(address, "")
    # The page that is open follows another link.
    other.goto(f"{app.url}#{urlencode({'question': 'When was it cast?', 'passage': passage})}")
    expect(question_box(other)).to_have_value("When was it cast?")
    expect(other.locator(".vb-answer b").first).to_have_text("1839")


def test_a_link_to_a_long_passage_goes_without_it(visit: Visit) -> None:
    page = visit(**CLIPBOARD)
    ask(page, "Who sold it?", "The mill was sold to Ann Reed. " * 100)
    expect(page.locator(".vb-answer b").first).to_contain_text("Ann Reed")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#vb-said")).to_contain_text("without the passage")
    address = clipboard(page)
    other = visit("health")  # nothing of the app that could still be asking
    other.goto(address)
    expect(passage_box(other)).to_have_value("")
    expect(question_box(other)).to_have_value("Who sold it?")
    expect(other.get_by_role("alert")).to_contain_text("This link came without its passage")
    # Who has a text on the page keeps it, and it is asked.
    own = "The bell was sold by Mara Quill."
    passage_box(other).fill(own)
    other.goto(address.replace("sold", "sells"))
    expect(question_box(other)).to_have_value("Who sells it?")
    expect(other.locator(".vb-answer b").first).to_contain_text("Mara Quill")
    expect(passage_box(other)).to_have_value(own)


def test_what_is_on_the_page_is_there_when_it_comes_back(
    app: App, visit: Visit, reader: Reader
) -> None:
    page = visit()
    page.add_init_script(SEEN_PASSAGES)
    passage = "The bell was cast in 1839 & hung in 1841; Ann Reed rang it, #1 of three."
    question = "Who rang the bell?"
    result = reader.answer(question, passage, 2)
    ask(page, question, passage)
    choose(page, "Number of answers", "2")
    expect(page.locator(".vb-answer")).to_have_count(2)
    await_replies(page)
    page.get_by_role("link", name="Models").click()
    expect(page).to_have_title(re.compile("Models"))
    await_replies(page)
    page.get_by_role("link", name="Ask", exact=True).click()
    expect(passage_box(page)).to_have_value(passage)
    expect(question_box(page)).to_have_value(question)
    expect_result(page, result, passage)
    assert page.evaluate("[...passages]") == [passage]  # and no example before
    assert page.evaluate("sessionStorage.length") == 0
    # What was typed since is what comes back; a link that is followed goes before it.
    question_box(page).fill("When was it hung?")
    await_replies(page)
    page.reload()
    expect(page.locator(".vb-answer b").first).to_have_text("1841")
    await_replies(page)
    page.get_by_role("link", name="Many questions").click()
    expect(page.get_by_role("button", name="Ask all")).to_be_visible(timeout=5000)  # nothing waits
    await_replies(page)
    page.goto(f"{app.url}#{urlencode({'question': 'When was it cast?', 'passage': passage})}")
    expect(page.locator(".vb-answer b").first).to_have_text("1839")


def test_the_model_that_is_named_is_the_one_that_answers(
    app: App, visit: Visit, reader: Reader
) -> None:
    passage = "Anna Reed lives in Rome. Mara Quill lives in Oslo."
    question = "Who lives in Oslo?"
    asks = {"question": question, "passage": passage, "answers": "2"}
    unsure = app.unsure.answer(question, passage, 2)
    page = visit(f"#{urlencode(asks | {'model': 'unsure'})}")
    expect_result(page, unsure, passage)
    expect(page.get_by_label("Model", exact=True)).to_have_value("Unsure")
    link = page.locator("#vb-ranked [data-link]")
    expect(link).to_have_attribute("data-link", re.compile("model=unsure"))
    await_replies(page)
    page.reload()
    expect(page.get_by_label("Model", exact=True)).to_have_value("Unsure")
    expect_result(page, unsure, passage)
    # The page that is open follows a link with another one.
    page.goto(f"{app.url}#{urlencode(asks | {'model': 'minilm-l6-squad-int8'})}")
    expect_result(page, reader.answer(question, passage, 2), passage)
    page.goto(f"{app.url}#{urlencode(asks | {'model': 'unsure'})}")
    expect_result(page, unsure, passage)


def test_settings_come_back_though_nothing_was_answered(visit: Visit) -> None:
    page = visit()
    choose(page, "Model", "Unsure")
    choose(page, "Number of answers", "7")
    expect(page.locator(".vb-answer")).to_have_count(7)
    ask(page, "", "The bell was cast in 1839.")
    expect(page.get_by_role("alert")).to_be_visible()
    await_replies(page)
    page.reload()
    expect(passage_box(page)).to_have_value("The bell was cast in 1839.")
    expect(question_box(page)).to_have_value("")
    expect(page.locator(".vb-answer")).to_have_count(0)
    question_box(page).fill("When was it cast?")
    await_replies(page)
    page.reload()
    expect(page.locator(".vb-answer b").first).to_have_text("1839")
    expect(page.get_by_label("Model", exact=True)).to_have_value("Unsure")
    expect(page.get_by_label("Number of answers", exact=True)).to_have_value("7")


BROKEN_FETCH = """() => {
    const whole = window.fetch;
    window.fetch = (address, ...rest) => {
        if (!String(address).includes("queue/join")) return whole(address, ...rest);
        window.fetch = whole;
        return Promise.reject(new TypeError("Failed to fetch"));
    };
}"""


def test_a_connection_that_breaks_costs_no_text(visit: Visit) -> None:
    page = visit()
    passage_box(page).fill("The bell was cast in 1839. Ann Reed rang it.")
    question_box(page).fill("Who rang the bell?")
    page.evaluate(BROKEN_FETCH)
    with page.expect_navigation(timeout=PATIENCE):  # Gradio loads the page anew
        page.get_by_role("button", name="Ask", exact=True).click()
    expect(passage_box(page)).to_have_value("The bell was cast in 1839. Ann Reed rang it.")
    expect(page.locator(".vb-answer b").first).to_contain_text("Ann Reed")


def test_hostile_links_are_inert(app: App, visit: Visit) -> None:
    fields = {"question": HOSTILE, "passage": f"Ada is here. {HOSTILE}", "model": HOSTILE}
    page = visit(f"#{urlencode(fields)}&answers=1e9&answers=3&%ff&=&__proto__=1")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("There is no model '<script>")
    field, place = page.locator("#vb-settings").bounding_box(), alert.bounding_box()
    assert field is not None
    assert place is not None
    assert 0 <= place["y"] - (field["y"] + field["height"]) < 30
    expect(question_box(page)).to_have_value(HOSTILE)
    question_box(page).press("Enter")
    expect(page.locator(".vb-answer")).to_have_count(3)
    expect(alert).to_have_count(0)
    page.goto(f"{app.url}#question=%F0%28&passage[]=1&model=")
    expect(question_box(page)).to_have_value("\ufffd(")
    expect(passage_box(page)).to_have_value(fields["passage"])
    assert page.evaluate("window.ran") is None


def test_questions_asked_about_a_passage_come_back(visit: Visit, reader: Reader) -> None:
    page = visit()
    before = page.locator("#vb-history .gallery-item")
    expect(before).to_have_text([QUESTIONS[0]])
    ask(page, f"How tall is it? {HOSTILE}")
    hostile = re.compile(r"^How tall is it\? <script>")
    expect(before).to_have_text([hostile, re.compile(re.escape(QUESTIONS[0]))])
    before.nth(1).click()
    expect(question_box(page)).to_have_value(QUESTIONS[0])
    expect_result(page, reader.answer(QUESTIONS[0], PASSAGE), PASSAGE)
    expect(before).to_have_text([re.compile(re.escape(QUESTIONS[0])), hostile])
    passage_box(page).fill("Another text.")
    expect(before).to_have_count(0)
    ask(page, "Which text?")
    expect(before).to_have_text(["Which text?"])
    assert page.evaluate("window.ran") is None
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_questions_of_an_example_go_with_its_text(visit: Visit) -> None:
    page = visit()
    offered = page.locator("#vb-questions .gallery-item")
    expect(offered).to_have_text(QUESTIONS)
    expect(page.get_by_text("Pages:")).to_have_count(0)
    passage_box(page).fill(PASSAGE + " More.")
    expect(page.locator("#vb-questions")).to_have_count(0)
    passage_box(page).fill(PASSAGE)
    expect(offered).to_have_text(QUESTIONS)


def test_the_passage_is_counted(visit: Visit, reader: Reader) -> None:
    page = visit()
    count = page.locator(".vb-count")
    tokens = len(reader.windower.passage(PASSAGE))
    expect(count).to_have_text(f"{len(PASSAGE)} characters, {tokens} tokens")
    text = "A 👩‍👩‍👧 family."
    passage_box(page).fill(text)
    assert count.inner_text() == f"{len(text)} characters"  # at once
    expect(count).to_have_text(
        f"{len(text)} characters, {len(reader.windower.passage(text))} tokens"
    )
    same = text.replace(".", "!")
    passage_box(page).fill(same)
    assert count.inner_text() == f"{len(text)} characters"
    expect(count).to_have_text(
        f"{len(text)} characters, {len(reader.windower.passage(same))} tokens"
    )


def test_a_passage_over_the_limit_is_refused_before_it_is_read(visit: Visit) -> None:
    page = visit()
    paste(page, LONG + "x")
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(
        "The passage has 400,001 characters, the limit is 400,000; ask about a part of it."
    )
    question_box(page).press("Enter")
    expect(page.locator(".vb-answer")).to_have_count(0)
    expect(alert).to_have_count(1)


def test_a_file_is_opened_and_answers_say_their_page(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    file = tmp_path / "<img src=x onerror=alert(1)>.pdf"
    file.write_bytes(pdf([["The mill was built in 1711."], ["It was sold to Ann Reed in 1844."]]))
    page.locator("#vb-text input[type=file]").set_input_files(file)
    expect(passage_box(page)).to_have_value(re.compile("built in 1711.*Ann Reed", re.DOTALL))
    expect(page.locator(".vb-count")).to_contain_text("2 pages")
    expect(question_box(page)).to_be_focused()
    expect(page.locator("mark")).to_have_count(0)
    ask(page, "Who was it sold to?")
    expect(page.locator(".vb-answer").first).to_contain_text("page 2")
    # Once it was edited nobody knows where its pages begin.
    passage_box(page).press("End")
    page.keyboard.type("!")
    ask(page, "Who was it sold to?")
    expect(page.locator(".vb-passage")).to_contain_text("!")
    expect(page.locator(".vb-page")).to_have_count(0)


def test_a_file_is_dropped_on_the_passage(visit: Visit) -> None:
    page = visit()
    passage_box(page).evaluate(DROP, ["mill.md", "# Mill\n\nIt was sold to Ann Reed."])
    expect(passage_box(page)).to_have_value(re.compile("sold to Ann Reed"))
    passage_box(page).evaluate(DROP, ["mill.zip", "PK\x03\x04 nothing"])
    expect(page.get_by_role("alert")).to_contain_text("mill.zip is a packed file")
    expect(passage_box(page)).to_have_value(re.compile("sold to Ann Reed"))


def test_of_two_files_opened_at_once_the_last_one_counts(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    wrong, right = tmp_path / "wrong.pdf", tmp_path / "right.txt"
    wrong.write_bytes(pdf([["The wrong book."]] * 1500))
    right.write_text("The right book.", encoding="utf-8")
    picker = page.locator("input[type=file]").first
    picker.set_input_files(wrong)
    page.wait_for_function(OPENING)
    picker.set_input_files(right)
    expect(passage_box(page)).to_have_value("The right book.")
    expect(page.locator("#vb-passage .progress-text")).to_have_count(0)
    expect(passage_box(page)).to_have_value("The right book.")


def test_a_file_that_takes_its_time_is_seen_to_be_opened(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    file = tmp_path / "slow.pdf"
    file.write_bytes(pdf([["The mill was sold to Ann Reed."]] * 500))
    page.locator("#vb-text input[type=file]").set_input_files(file)
    page.wait_for_function(OPENING)
    expect(passage_box(page)).to_have_value(re.compile("sold to Ann Reed"))
    expect(page.locator("#vb-passage .progress-text")).to_have_count(0)


def test_shortcuts_are_listed_and_keep_out_of_the_way_of_typing(visit: Visit) -> None:
    page = visit()
    listed = page.get_by_role("dialog", name="Shortcuts")
    question_box(page).focus()
    page.keyboard.type("?/c")
    expect(question_box(page)).to_have_value(f"{QUESTIONS[0]}?/c")
    expect(listed).to_have_count(0)
    page.locator("body").press("?")
    page.locator('.vb-answer[data-rank="2"] .vb-choose').press("?")
    expect(listed).to_be_visible()
    expect(listed).to_contain_text("go to Question")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(listed).to_have_count(0)
    page.keyboard.press("/")
    expect(question_box(page)).to_be_focused()
    page.get_by_role("button", name="Shortcuts").click()
    listed.get_by_role("button", name="Close").click()
    expect(listed).to_have_count(0)


def test_single_keys_can_be_turned_off_for_good(visit: Visit) -> None:
    page = visit()
    await_replies(page)
    listed = page.get_by_role("dialog", name="Shortcuts")
    for turn_on in (False, True):
        page.get_by_role("button", name="Shortcuts").click()
        listed.get_by_role("checkbox", name="Use the keys / and ?").set_checked(turn_on)
        page.keyboard.press("Escape")
        expect(listed).to_have_count(0)
        await_replies(page)
        page.reload()
        expect(page.locator(".vb-answer").first).to_be_visible()
        page.locator("body").press("?")
        expect(listed).to_have_count(int(turn_on))
    listed.evaluate(CLOSE_AND_GO_ON)
    expect(listed).to_have_count(0)
    expect(question_box(page)).to_be_focused()


def test_answers_arrive_while_a_long_passage_is_read_until_it_is_stopped(
    app: App, visit: Visit
) -> None:
    page = visit()
    page.evaluate(WATCH_BAR)
    ask(page, QUESTIONS[1], PASSAGE)
    expect(page.locator("#vb-history .gallery-item")).to_have_count(2)
    assert page.evaluate("window.bars") == 0  # a short one is there at once
    paste(page, LONG)
    ask(page, "Who led the expedition?")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    expect(page.get_by_role("progressbar", name="Read")).to_be_visible()
    expect(page.locator(".vb-answers.vb-reading .vb-answer")).to_have_count(3)
    expect(page.locator("#vb-ranked").get_by_role("status")).to_be_empty()
    assert violations(page, "#vb-answering") == []
    stop.press("Enter")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_focused()
    expect(page.locator(".vb-note")).to_contain_text(re.compile(r"Stopped\. \d+ of \d+ windows"))
    expect(page.locator("#vb-ranked").get_by_role("status")).to_contain_text("Stopped. 3 answers")
    expect(stop).to_have_count(0)
    expect(page.locator("mark.vb-chosen")).to_be_visible()
    before = processor_seconds(app.process)
    page.wait_for_timeout(600)
    assert processor_seconds(app.process) - before < 0.3
    # What is inside is that of the answers that stand, not of those that all windows would give.
    best = page.locator(".vb-answer b").first.inner_text()
    page.get_by_role("tab", name="Look inside").click()
    expect(page.locator(".vb-inside .vb-note")).to_contain_text("the windows that were read")
    expect(page.locator(".vb-spans tr[aria-current] bdi")).to_have_text(best)


def test_escape_that_closes_a_list_stops_nothing(visit: Visit) -> None:
    page = visit()
    paste(page, LONG)
    ask(page, "Who led the expedition?")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    page.get_by_role("combobox", name="Model").click()
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    page.wait_for_timeout(300)
    expect(page.get_by_role("progressbar", name="Read")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".vb-note")).to_contain_text("Stopped.")
    expect(page.get_by_role("combobox", name="Model")).to_be_focused()


def test_who_asks_anew_does_not_wait_for_what_they_asked_before(
    visit: Visit, reader: Reader
) -> None:
    page = visit()
    paste(page, LONG)
    ask(page, "Who led the expedition?")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    ask(page, QUESTIONS[0], PASSAGE)
    expect_result(page, reader.answer(QUESTIONS[0], PASSAGE), PASSAGE)
    expect(page.get_by_role("progressbar")).to_have_count(0)


def test_a_file_that_is_opened_ends_what_is_being_read(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    paste(page, LONG)
    ask(page, "Who led the expedition?")
    expect(page.locator(".vb-answers.vb-reading .vb-answer")).to_have_count(3)
    file = tmp_path / "mill.txt"
    file.write_text("The mill was sold to Ann Reed.", encoding="utf-8")
    page.locator("#vb-text input[type=file]").set_input_files(file)
    expect(passage_box(page)).to_have_value(re.compile("Ann Reed"))
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    page.wait_for_timeout(500)
    expect(page.locator(".vb-answer")).to_have_count(0)


def test_a_file_that_is_refused_ends_nothing_and_stays_refused(visit: Visit) -> None:
    page = visit()
    paste(page, LONG)
    ask(page, "Who was its leader?")  # asked by no other test: what was read is kept
    stop, alert = page.get_by_role("button", name="Stop"), page.get_by_role("alert")
    expect(stop).to_be_visible()
    passage_box(page).evaluate(DROP, ["mill.zip", "PK\x03\x04 nothing"])
    expect(alert).to_contain_text("mill.zip is a packed file")
    stop.click()
    expect(page.locator(".vb-note")).to_contain_text("Stopped.")
    expect(alert).to_contain_text("mill.zip is a packed file")
    ask(page, "Who was leading it?")
    expect(stop).to_be_visible()
    expect(alert).to_have_count(0)


def test_two_visitors_never_see_each_others_text(visit: Visit) -> None:
    one, other = visit(), visit()
    ask(one, "What opens the door?", "The word rosebud opens the door of Ada.")
    ask(other, "What opens the door?", "The word sesame opens the door of Bob.")
    expect(one.locator(".vb-answer b").first).to_contain_text("rosebud")
    expect(other.locator(".vb-answer b").first).to_contain_text("sesame")
    for page, secret in ((one, "sesame"), (other, "rosebud")):
        assert secret not in page.content()
    assert "rosebud" not in visit().content()


@in_both_forms
def test_nobody_is_kept_out(visit: Visit, forms: tuple[Form, ...]) -> None:
    page = visit()
    page.locator('.vb-answer[data-rank="2"]').click()
    assert violations_in(page, forms) == []
    ask(page, "", "It is here.")
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []
