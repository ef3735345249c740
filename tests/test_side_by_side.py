"""Models compared, drawn as HTML: every answer in its row, every model at its place in the plot."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from qa import Answer, ModelCard, Result
from qa.comparison import Entry, Opinion
from tests.test_answers_html import Page
from tests.texts import any_text
from ui import side_by_side


def entry(name: str, text: str = "1839", *, time: float = 100, **card: float) -> Entry:
    """Return what a model answered, in so many milliseconds."""
    result = Result(
        model=name,
        answers=(Answer(text, 0, len(text), 0.75), Answer("Ann", 30, 33, 0.125)),
        no_answer=0.0625,
        windows=2,
        read=2,
        tokens=500,
        question_cut=False,
        milliseconds={"total": time},
    )
    return Entry(ModelCard(name, Path(name), title=name.title(), **card), result)  # type: ignore[arg-type]


def rows(html: str) -> list[list[str]]:
    """Return the text of each cell of each row."""
    return [
        [" ".join(re.sub("<.*?>", " ", cell).split()) for cell in re.findall(cells, row)]
        for row in re.findall("<tr.*?</tr>", html)
        for cells in (r"<(?:th|td).*?>(.*?)</(?:th|td)>",)
    ]


def test_each_answer_stands_in_its_row() -> None:
    entries = [
        entry("one", f1=83.894),
        entry("two", "1840", time=1234),
        Entry(ModelCard("three", Path("three")), error="Install <it> again."),
        entry("four"),
    ]
    assert rows(side_by_side.draw(entries, "When?")) == [
        ["Model", "Answers", "No answer", "Time", "F1"],
        ["One", "1839 75.0% Ann 12.5%", "6.2%", "100 ms", "83.89"],
        ["Two ≠ differs", "1840 75.0% Ann 12.5%", "6.2%", "1.2 s", "unknown"],
        ["three", "Install &lt;it&gt; again."],
        ["Four", "1839 75.0% Ann 12.5%", "6.2%", "100 ms", "unknown"],
    ]


def test_while_models_are_asked_it_is_said_how_far_they_are() -> None:
    done, going = entry("one"), entry("two", "1840")
    assert going.result is not None
    entries = [
        done,
        Entry(going.card, replace(going.result, read=1)),
        Entry(ModelCard("three", Path("three"))),
    ]
    html = side_by_side.draw(entries, "When?")
    assert [row[1] for row in rows(html)[2:]] == ["reading, 1 of 2 windows", "…"]
    assert "differs" not in html
    assert ">Asking…</p>" in html
    stopped = side_by_side.draw([done, done, entries[2]], "When?", stopped=True)
    assert rows(stopped)[3] == ["three", "not asked to its end"]
    assert "Stopped. The 2 that answered agree: <b><bdi>1839</bdi></b>." in stopped


A, B, NONE = "<b><bdi>a</bdi></b>", "<b><bdi>b</bdi></b>", "the passage does not say"


@pytest.mark.parametrize(
    ("said", "models", "verdict"),
    [
        ([("a", 3)], 3, f"All agree: {A}."),
        ([("a", 2)], 3, f"The 2 that answered agree: {A}."),
        ([(None, 2)], 2, f"All agree: {NONE}."),
        ([("a", 2), ("b", 1)], 3, f"2 of 3 say: {A}."),
        ([("a", 2), (None, 2), ("b", 1)], 6, f"2 of 5 say: {A}. 2 of 5 say: {NONE}."),
        ([("a", 1), ("b", 1)], 2, "They disagree."),
        ([("a", 1), ("b", 1), (None, 1)], 3, "No two agree."),
        ([("a", 1)], 2, "There is nothing to compare."),
        ([], 2, "There is nothing to compare."),
    ],
)
def test_the_verdict_is_a_sentence(
    said: list[tuple[str | None, int]], models: int, verdict: str
) -> None:
    opinions = [Opinion(text, ("name",) * times) for text, times in said]
    assert side_by_side.draw_verdict(opinions, models) == verdict


def test_the_plot_has_a_point_for_each_model_with_an_f1() -> None:
    entries = [
        entry("slow", time=1000, f1=92.5),
        entry("quick", time=10, f1=82.5),
        entry("middle", time=100, f1=87.5),
        entry("unmeasured"),
    ]
    html = side_by_side.draw(entries, "When?")
    assert "No F1 is known of Unmeasured." in html
    (told,) = [a["aria-label"] for _, a in Page(html).elements if a.get("role") == "img"]
    assert told == ("Slow: 1.0 s, F1 92.50; Quick: 10 ms, F1 82.50; Middle: 100 ms, F1 87.50")
    points = [
        (float((a["x"] or "").rstrip("%")), float(a["y"] or ""))
        for tag, a in Page(html).elements
        if tag == "svg" and "x" in a
    ]
    quick, middle, slow = points  # as they come from left to right
    assert quick[0] < middle[0] < slow[0]
    assert middle == pytest.approx(((slow[0] + quick[0]) / 2, (slow[1] + quick[1]) / 2), abs=0.1)
    assert slow[1] < quick[1]
    for x, y in points:
        assert 0 < x < 100
        assert 0 < y < 220
    # The grid: 50 ms lies between 10 and 100 ms as its logarithm does.
    (fifty,) = re.findall(r'x="([\d.]+)%"[^>]*>50 ms<', html)
    share = (float(fifty) - quick[0]) / (middle[0] - quick[0])
    assert share == pytest.approx(0.699, abs=0.01)
    ninety = re.findall(r'y="([\d.]+)" text-anchor="end">90<', html)
    assert slow[1] < float(ninety[0]) < middle[1]


def test_without_an_f1_there_is_no_plot() -> None:
    assert "<svg" not in side_by_side.draw([entry("one"), entry("two")], "When?")


def test_one_model_is_led_to_more() -> None:
    html = side_by_side.draw_invitation([entry("one").card])
    assert "One model is installed, One, so there is nothing" in html
    assert 'The page <a href="models">Models</a> lists others.' in html
    html = side_by_side.draw_invitation([entry("one").card, entry("two").card])
    assert "all 2 installed models" in html
    assert "One, Two." in html


@given(any_text)
def test_nothing_a_person_or_card_says_becomes_an_element(text: str) -> None:
    card = ModelCard(text, Path("nowhere"), title=text, f1=80)
    good = entry("one", text, f1=80)
    entries = [replace(good, card=card), Entry(card, error=text)]
    html = side_by_side.draw(entries, text) + side_by_side.draw_invitation([card, card])
    html += side_by_side.draw_invitation([card])
    ours = {"div", "p", "h3", "b", "bdi", "span", "small", "a", "ol", "li", "circle", "line"}
    ours |= {"svg", "text", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    for tag, attributes in Page(html).elements:
        assert tag in ours
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href") in (None, "models")
    html.encode("utf-8")  # no lone surrogate is left
