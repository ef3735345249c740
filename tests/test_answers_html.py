"""Answers drawn as HTML: everything a passage holds is shown as text, every mark at its place."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa import Answer, Result
from qa.documents import Document
from tests.texts import any_text
from ui.answer_table import draw_shelf
from ui.answers import DRAWN_WHOLE, draw_answers, draw_error, draw_passage
from ui.text import carried
from ui.theme import PALETTE


class Page(HTMLParser):
    """The elements of a piece of HTML, and the text inside one class of them."""

    def __init__(self, html: str, inside: str = "") -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.marks: list[tuple[str | None, str]] = []
        self.text = ""
        self._inside = inside
        self._depth = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if self._depth or attributes.get("class") == self._inside:
            self._depth += 1
        if tag == "mark":
            self.marks.append((attributes["data-rank"], ""))

    def handle_endtag(self, tag: str) -> None:
        self._depth = max(0, self._depth - 1)

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.text += data
        if self._depth == 2:  # inside a mark inside the box
            rank, text = self.marks[-1]
            self.marks[-1] = (rank, text + data)


def result_of(passage: str, *spans: tuple[int, int], **changes: object) -> Result:
    """Return a result that answers with these spans, the first one best."""
    answers = tuple(
        Answer(passage[start:end], start, end, 0.8 / (rank + 1))
        for rank, (start, end) in enumerate(spans)
    )
    fields: dict[str, object] = {
        "model": "a-model",
        "answers": answers,
        "no_answer": None,
        "windows": 2,
        "read": 2,
        "tokens": 1234,
        "question_cut": False,
        "milliseconds": {"tokenize": 0.94, "run": 2345.6, "rank": 12.3, "total": 2358.9},
    }
    return Result(**{**fields, **changes})  # type: ignore[arg-type]


@st.composite
def passages_with_spans(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    passage = draw(any_text)
    cuts = sorted(draw(st.sets(st.integers(0, len(passage)), max_size=8)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    return passage, draw(st.permutations(spans))


@given(passages_with_spans())
def test_the_marked_passage_is_the_passage_with_each_answer_marked_where_it_stands(
    case: tuple[str, list[tuple[int, int]]],
) -> None:
    passage, spans = case
    page = Page(draw_passage(result_of(passage, *spans), passage), inside="vb-passage")
    assert page.text == carried(passage)
    ranked = sorted(enumerate(spans, 1), key=lambda item: item[1])
    assert page.marks == [(str(rank), carried(passage[s:e])) for rank, (s, e) in ranked]


@given(passages_with_spans())
def test_nothing_a_passage_holds_becomes_an_element(
    case: tuple[str, list[tuple[int, int]]],
) -> None:
    passage, spans = case
    result = result_of(passage, *spans)
    copied = {"JSON": passage, "CSV": passage}
    html = draw_answers(result, passage, taken_along=copied, link=passage)
    html += draw_passage(result, passage) + draw_error(passage) + draw_shelf([passage])
    ours = {"strong", "p", "ol", "li", "b", "span", "div", "i", "em", "mark", "dl", "dt", "dd"}
    ours |= {"button", "code"}
    for tag, attributes in Page(html).elements:
        assert tag in ours
        assert set(attributes) <= {"class", "data-rank", "style", "role", "dir", "tabindex"} | {
            *("aria-label", "aria-current", "type", "data-copy", "data-link")
        }
    html.encode("utf-8")  # no lone surrogate is left


def test_each_answer_is_drawn_with_its_score_in_its_sentence() -> None:
    passage = "It opened in 1901. It closed in <1957> & was pulled down. Nobody knows why."
    html = draw_answers(result_of(passage, (33, 37), (13, 17)), passage)
    items = re.findall(r"<li .*?</li>", html)
    assert len(items) == 2
    assert '<b dir="auto">1957</b>' in items[0]
    assert "80.0%" in items[0]
    assert "width:80.0%" in items[0]
    assert "It closed in &lt;<em>1957</em>&gt; &amp; was pulled down.</p>" in items[0]
    assert "It opened in <em>1901</em>.</p>" in items[1]
    assert "40.0%" in items[1]


def test_what_is_copied_is_what_was_written() -> None:
    passage = 'Say "1 < 2".\n\tSay <b>.'
    copied = {"CSV": '1,"=x"\n2,y'}
    page = Page(draw_answers(result_of(passage, (4, 23)), passage, taken_along=copied, link="a=1"))
    buttons = [attributes for tag, attributes in page.elements if tag == "button"]
    assert [button.get("data-copy") for button in buttons] == [
        *(None, passage[4:23], copied["CSV"], None)
    ]
    assert buttons[-1]["data-link"] == "a=1"


def test_answers_say_their_page() -> None:
    passage = "One page. Another page."
    result = result_of(passage, (10, 17), (0, 3))
    assert "vb-page" not in draw_answers(result, passage)
    html = draw_answers(result, passage, Document(passage, (0, 10)))
    assert re.findall(r'"vb-page">(.*?)<', html) == ["page 2", "page 1"]


def test_nothing_is_announced_while_more_is_read() -> None:
    passage = "A word."
    html = draw_answers(result_of(passage, (2, 6), read=1), passage, reading=True)
    assert 'role="status"></p>' in html
    assert "Stopped" not in html
    stopped = draw_answers(result_of(passage, (2, 6), read=1), passage)
    assert "1 of 2 windows were read" in stopped
    assert 'role="status">Stopped. 1 answer. The best' in stopped


LONG = "".join(f"{number:07} " for number in range(DRAWN_WHOLE * 3 // 8))


@given(st.lists(st.integers(0, len(LONG) // 8 - 1), max_size=6, unique=True))
def test_of_a_very_long_passage_what_is_around_the_answers_is_drawn(words: list[int]) -> None:
    spans = [(8 * word, 8 * word + 7) for word in words]
    html = draw_passage(result_of(LONG, *spans), LONG)
    assert len(html) < 120_000
    gap = re.compile('<p class="vb-gap">.*?</p>')
    page = Page(gap.sub("|", html), inside="vb-passage")
    assert sorted(page.marks) == [(str(i), LONG[s:e]) for i, (s, e) in enumerate(spans, 1)]
    stretches = page.text.split("|")
    assert all(stretch in LONG for stretch in stretches)
    for start, end in spans:
        assert any(LONG[max(0, start - 1000) : end + 1000] in stretch for stretch in stretches)


def test_a_result_is_announced_once() -> None:
    passage = "Ada & Grace wrote it."
    html = draw_answers(result_of(passage, (0, 11), (12, 17)), passage)
    assert html.count('role="status"') == 1
    assert "2 answers. The best, 80.0%: Ada &amp; Grace</p>" in html


@pytest.mark.parametrize(
    ("score", "shown"),
    [(0.0, "0.0%"), (0.0000004, "&lt;0.1%"), (0.0006, "0.1%"), (0.5, "50.0%"), (1.0, "100.0%")],
)
def test_only_an_impossible_answer_scores_nothing(score: float, shown: str) -> None:
    result = result_of("word", answers=(Answer("word", 0, 4, score),))
    assert f'"vb-score">{shown}<' in draw_answers(result, "word")


def test_what_the_reading_took_is_listed() -> None:
    html = draw_passage(result_of("A passage."), "A passage.")
    figures = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    assert figures == {
        "Tokens": "1,234",
        "Windows": "2",
        "Tokenize": "0.9 ms",
        "Run": "2.3 s",
        "Rank": "12 ms",
        "In all": "2.4 s",
    }


def test_what_a_reader_should_know_is_noted() -> None:
    plain = draw_answers(result_of("A word.", (2, 6)), "A word.")
    assert "vb-note" not in plain
    cut = draw_answers(result_of("A word.", (2, 6), question_cut=True), "A word.")
    assert "its end was left out" in cut
    assert "no words that this model can read" in draw_answers(result_of("…"), "…")


def test_the_chance_that_the_passage_does_not_say_comes_last() -> None:
    assert "does not say" not in draw_answers(result_of("A word.", (2, 6)), "A word.")
    assert "vb-doubtful" not in draw_answers(result_of("A word.", (2, 6)), "A word.")
    unsure = draw_answers(result_of("A word.", (2, 6), no_answer=0.125), "A word.")
    assert re.search("80.0%.*The passage does not say.*12.5%", unsure)


@pytest.mark.parametrize(
    ("ink", "ground"),
    [(ink, ground) for ground in ("paper", "sheet") for ink in ("ink", "ink-soft", "alarm")]
    + [("mark-ink", "mark"), ("mark-faint-ink", "mark-faint"), ("key-ink", "key")]
    + [("key-ink", "key-hover"), ("ink", "stroke")],
)
@pytest.mark.parametrize("shade", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(ink: str, ground: str, shade: int) -> None:
    assert contrast(PALETTE[ink][shade], PALETTE[ground][shade]) >= 4.5


@pytest.mark.parametrize("edge", ["edge", "focus", "mark-edge"])
@pytest.mark.parametrize("shade", [0, 1], ids=["light", "dark"])
def test_edges_that_matter_have_the_contrast_of_wcag_aa(edge: str, shade: int) -> None:
    for ground in ("paper", "sheet"):
        assert contrast(PALETTE[edge][shade], PALETTE[ground][shade]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours like #a4261a."""

    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_a_best_guess_that_is_probably_no_answer_is_shown_as_one() -> None:
    result = result_of("A word.", (2, 6), no_answer=0.9)
    html = draw_answers(result, "A word.")
    assert "<strong>Probably not in this text.</strong>" in html
    assert 'role="status">Probably not in this text. The best guess, 80.0%: word</p>' in html
    assert '<ol class="vb-answers vb-doubtful">' in html
    assert "vb-doubtful" in draw_passage(result, "A word.")
