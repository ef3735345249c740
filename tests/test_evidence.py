"""Why an answer won, drawn as HTML: every figure where it belongs, and nothing of a passage becomes
an element."""

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape

import pytest
from hypothesis import given, settings

from qa import Reader
from qa.inside import Candidate, Inside, Token, WindowOnMap, look
from qa.reader import Model
from tests.fakes import RandomModel
from tests.test_answers_html import Page
from tests.texts import any_text
from ui import evidence
from ui.text import carried

PASSAGE = "It was cast in 1839 by Ann Reed."
CHOSEN = Candidate("1839", 15, 19, 2, 6.5, 5.25, -1.0, 12.75, 0.9, 1)
INSIDE = Inside(
    model="a-model",
    chosen=CHOSEN,
    null_start=0.25,
    null_end=0.0,
    tokens=(
        Token("cast", 7, 11, 0.0, 0.0),
        Token("in", 12, 14, 0.125, 0.0),
        Token("1839", 15, 19, 0.5, 1.0),
        Token("by", 20, 22, 0.0, 0.0),
        Token("Ann", 23, 26, 0.125, 0.0),
    ),
    windows=(
        WindowOnMap(1, 0, 14, 4, -4.25, won=False),
        WindowOnMap(2, 7, 26, 5, 12.75, won=True),
        WindowOnMap(3, 20, 32, 3, None, won=False),
    ),
    candidates=(CHOSEN, Candidate("in 1839", 12, 19, 2, 3.0, 5.25, -1.0, 9.25, 0.05, None)),
    no_answer=None,
)


def drawn(inside: Inside = INSIDE) -> str:
    return evidence.draw(inside, PASSAGE)


def numbers(html: str, kind: str, *names: str) -> list[tuple[float, ...]]:
    """Return attributes of the SVG elements of a kind, as numbers."""
    return [
        tuple(float((attributes[name] or "").rstrip("%")) for name in names)
        for tag, attributes in Page(html).elements
        if tag == "rect" and attributes.get("class") == kind
    ]


def test_bars_are_as_high_as_probabilities() -> None:
    starts = numbers(drawn(), "vb-start", "x", "y", "height")
    ends = numbers(drawn(), "vb-end", "x", "y", "height")
    heights = [height for _, _, height in starts]
    # The null position first, then the tokens; what has next to no probability is left out.
    assert [height / heights[2] for height in heights] == pytest.approx([0.5, 0.25, 1, 0.25], 1e-2)
    assert len(ends) == 1
    axis = ends[0][1]
    assert ends[0][2] == pytest.approx(2 * heights[2])
    assert [y + height for _, y, height in starts] == pytest.approx([axis] * 4)
    assert ends[0][0] == starts[2][0]  # both at the same token
    places = [x for x, _, _ in starts]
    assert places == sorted(places)
    (span,) = numbers(drawn(), "vb-span", "x", "width")
    assert span[0] == starts[2][0]
    assert span[1] == pytest.approx(places[2] - places[1])
    assert max(places) + span[1] == pytest.approx(100, abs=0.01)


def test_plots_are_told_in_words() -> None:
    told = [a["aria-label"] for tag, a in Page(drawn()).elements if a.get("role") == "img"]
    probabilities, windows = told
    assert probabilities == (
        "Starts most likely at 1839 (50.0%), in (12.5%), Ann (12.5%). Ends most likely at 1839 "
        "(100.0%). No answer in this window: start 25.0%, end 0.0%."
    )
    assert windows == (
        "3 windows. Window 2, characters 7 to 26, won; of the others window 1 does best, with "
        "−4.25."
    )


def test_the_text_is_tinted_where_the_model_points() -> None:
    (text,) = re.findall(r'<p class="vb-window".*?</p>', drawn())
    assert re.sub(r"<rt>.*?</rt>|<.*?>", "", text) == "cast in 1839 by Ann"
    assert re.findall(r"--start:(.*?);--end:(.*?)\"", text) == [
        ("12.5%", "0.0%"),
        ("50.0%", "100.0%"),
        ("12.5%", "0.0%"),
    ]
    (token,) = re.findall(r'<ruby class="vb-ends">.*?</ruby>.*?</ruby>', text)
    assert re.findall(r'"(vb-\w+)"|<rt>(.*?)</rt>|<u>(.*?)</u>', token) == [
        ("vb-ends", "", ""),
        ("vb-starts", "", ""),
        ("", "", "1839"),
        ("", "50%", ""),
        ("", "100%", ""),
    ]


def test_the_map_shows_each_window_at_its_place_as_high_as_its_logit() -> None:
    (map_,) = re.findall(r'<svg class="vb-plot vb-map".*?</svg>', drawn())
    bars = [
        tuple(float((a[name] or "").rstrip("%")) for name in ("x", "width", "y", "height"))
        for tag, a in Page(map_).elements
        if tag == "rect"
    ]
    assert [bar[:2] for bar in bars] == [
        pytest.approx((100 * start / 32, 100 * (end - start) / 32), abs=1e-2)
        for start, end in ((0, 14), (20, 32), (7, 26))
    ]
    (_, _, zero, below), (_, _, _, nothing), (_, _, top, above) = bars
    assert nothing == 0
    (height,) = re.findall(r'<svg class="vb-plot vb-map" height="(\d+)"', map_)
    assert zero + below < float(height)
    assert above / below == pytest.approx(3, 1e-2)
    assert top + above == pytest.approx(zero)  # one rises from where the other hangs
    assert [a.get("class") for tag, a in Page(map_).elements if tag == "rect"][-1] == "vb-won"
    assert "window 2 won, 12.75" in map_


@pytest.mark.parametrize(("windows", "bars"), [(1, 1), (499, 499), (700, 351), (10_000, 501)])
def test_the_map_holds_any_number_of_windows(windows: int, bars: int) -> None:
    many = tuple(
        WindowOnMap(n + 1, 10 * n, 10 * n + 12, 5, float(n % 2), won=n == 0) for n in range(windows)
    )
    html = drawn(replace(INSIDE, windows=many))
    (map_,) = re.findall(r'<svg class="vb-plot vb-map".*?</svg>', html)
    assert map_.count("<rect") == bars
    assert map_.count('class="vb-won"') == 1


def test_the_table_has_each_figure_in_its_column() -> None:
    html = drawn()
    rows = [re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row) for row in re.findall("<tr.*?</tr>", html)]
    assert [[re.sub("<.*?>", "", cell) for cell in row] for row in rows] == [
        ["#", "Words", "Score", "Logit", "Start", "End", "Null", "Window"],
        ["1", "1839 answer 1", "90.0%", "12.75", "6.50", "5.25", "−1.00", "2"],
        ["2", "in 1839", "5.0%", "9.25", "3.00", "5.25", "−1.00", "2"],
    ]
    current = [a for tag, a in Page(html).elements if tag == "tr" and "aria-current" in a]
    assert len(current) == 1
    other = drawn(replace(INSIDE, chosen=INSIDE.candidates[1]))
    assert '<tr aria-current="true"><td>2</td>' in other
    beyond = drawn(replace(INSIDE, candidates=INSIDE.candidates[1:]))
    assert '<tr><td>1</td><th scope="row"><bdi>in 1839<' in beyond
    assert '<tr aria-current="true"><td>…</td><th scope="row"><bdi>1839<' in beyond


@settings(deadline=None)
@given(any_text)
def test_nothing_in_a_passage_becomes_an_element(
    reader_of: Callable[[Model], Reader], text: str
) -> None:
    passage = f"A {text} z"
    inside = look(reader_of(RandomModel()), "Which?", passage)
    html = evidence.draw(inside, passage)
    ours = {"div", "p", "h3", "b", "bdi", "dl", "dt", "dd", "span", "u", "ruby", "rt", "small"}
    ours |= {"svg", "rect", "line", "text", "title", "table", "thead", "tbody", "tr", "th", "td"}
    for tag, attributes in Page(html).elements:
        assert tag in ours
        assert not any(name.startswith("on") or name == "href" for name in attributes)
    html.encode("utf-8")  # no lone surrogate is left
    (shown,) = re.findall(r'(?s)<p class="vb-window".*?</p>', html)
    window = inside.windows[inside.chosen.window - 1]
    text = unescape(re.sub(r"<rt>.*?</rt>|<.*?>", "", shown))
    assert text == carried(passage[window.start : window.end])


def test_progress_and_failure_say_how_things_stand() -> None:
    assert 'value="7" max="1200"' in evidence.draw_progress(7, 1200)
    assert "7 of 1,200 windows" in evidence.draw_progress(7, 1200)
    assert "No &lt;space&gt;." in evidence.draw_failure("No <space>.")
