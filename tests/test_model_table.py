"""Models drawn as HTML: every figure where it belongs, and nothing of a card becomes an element."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from qa import ModelCard
from qa.calibration import Bin
from qa.speed import LENGTHS, Speed
from qa.store import Progress
from tests.test_answers_html import Page
from tests.texts import any_text
from ui import model_table, reliability

CARD = ModelCard(
    name="a-model-0001",
    aliases=("a-model-onnx-0001",),
    folder=Path("nowhere"),
    title="A model",
    base_model="BERT & sons",
    licence="Apache-2.0",
    parameters=333_960_000,
    gops_384=246.93,
    exact_match=86.36,
    f1=92.60,
    measured_on="all of SQuAD v1.1 dev (the publisher's figures)",
    calibration_error=0.0213,
    training_data="SQuAD & more",
    to_fetch=368_509_620,
)
OURS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "div", "b", "code", "small", "span"}
DIAGRAM = {"svg", "text", "path", "rect"}
DIAGRAM_ATTRIBUTES = {
    *("viewbox", "role", "aria-label", "class", "d", "x", "y", "width", "height", "transform"),
    "text-anchor",
}


def cells(html: str) -> dict[str, str]:
    """Return the text of each cell of the one model drawn, by its column."""
    found = re.findall(r'<td role="cell" data-column="(.*?)"><div>(.*?)</div></td>', html)
    return {column: re.sub("<.*?>", " ", value).strip() for column, value in found}


def test_each_figure_stands_in_its_column() -> None:
    html = model_table.draw_table([CARD], "another")
    assert cells(html) == {
        "Size": "369 MB to fetch  334 million parameters",
        "GOps": "246.93",
        "EM": "86.36",
        "F1": "92.6 all of SQuAD v1.1 dev (the publisher&#x27;s figures)",
        "ECE": "2.13",
        "Trained on": "SQuAD &amp; more",
        "Licence": "Apache-2.0",
        "State": "Not installed",
    }
    heads = re.findall(r'<th scope="col" role="columnheader">(.*?)</th>', html)
    assert heads == ["Model", *cells(html)]
    row = re.findall(r'<th scope="row" role="rowheader">(.*?)</th>', html)
    assert len(row) == 1
    for shown in ("A model", CARD.name, *CARD.aliases, "made from BERT &amp; sons"):
        assert shown in row[0]


def test_what_is_installed_and_answers_first_is_said(tmp_path: Path) -> None:
    for file in ("model.onnx", "tokenizer.json"):
        (tmp_path / file).write_bytes(b"x" * 600_000)
    here = replace(CARD, folder=tmp_path, to_fetch=0)
    found = cells(model_table.draw_table([here], CARD.name))
    assert (found["Size"], found["State"]) == (
        "1.2 MB 334 million parameters",
        "Installed answers first",
    )


def test_what_nobody_knows_is_said_to_be_unknown() -> None:
    bare = ModelCard(name="bare", folder=Path("nowhere"), to_fetch=1)
    found = cells(model_table.draw_table([bare], "another"))
    unknown = {column for column, value in found.items() if value == "unknown"}
    assert unknown == {"GOps", "EM", "F1", "ECE", "Trained on", "Licence"}


@given(any_text)
def test_nothing_a_card_says_becomes_an_element(text: str) -> None:
    card = replace(
        CARD,
        name=text,
        aliases=(text,),
        title=text,
        base_model=text,
        licence=text,
        measured_on=text,
        training_data=text,
        reliability=(Bin(3, 0.5, 0.4),),
    )
    html = (
        model_table.draw_table([card], text)
        + model_table.draw_status(text, text)
        + model_table.draw_failure(text, text, text)
        + model_table.draw_progress(text, None)
        + model_table.draw_speeds([card], {text: [Speed(64, 8.0)]})
        + model_table.draw_measuring(text, 1)
        + model_table.draw_measured(text)
        + model_table.draw_added(text)
        + reliability.draw([card])
    )
    allowed = {"class", "role", "scope", "data-column", "aria-label", "aria-hidden", "max", "value"}
    for tag, attributes in Page(html).elements:
        if tag in DIAGRAM:
            assert set(attributes) <= DIAGRAM_ATTRIBUTES
            continue
        assert tag in OURS | {"h3", "p", "progress", "figure", "figcaption"}
        assert set(attributes) <= allowed
    html.encode("utf-8")  # no lone surrogate is left


@pytest.mark.parametrize(
    ("progress", "seen", "spoken", "bar"),
    [
        (None, "Looking for it", "Fetching A", "></progress>"),
        (Progress("wait", 0, 9), "Another process is fetching it", "Fetching A", "></progress>"),
        (
            Progress("fetch", 1_234_567, 42_600_425, 3_100_000.0, 61.4),
            "1.2 of 42.6 MB, 3.1 MB/s, 1:01 left",
            "Fetching A",
            'max="42600425" value="1234567"></progress>',
        ),
        (Progress("fetch", 0, 200_000), "0.0 of 0.2 MB", "Fetching A", 'max="200000" value="0">'),
        (Progress("convert", 9, 9), "converting it", "Converting A", "></progress>"),
    ],
)
def test_progress_is_seen_whole_and_heard_in_steps(
    progress: Progress | None, seen: str, spoken: str, bar: str
) -> None:
    html = model_table.draw_progress("A", progress)
    assert f'<p class="vb-unseen" role="status">{spoken}</p>' in html
    assert f'<progress aria-label="{spoken}"' in html
    assert bar in html
    assert re.search(rf'<p class="vb-amount">[^<]*{re.escape(seen)}', html)


def test_what_went_wrong_is_announced_and_then_how_things_stand() -> None:
    html = model_table.draw_failure("A", "Not installed.", "No <space>.")
    alert = '<p class="vb-error" role="alert">No &lt;space&gt;.</p>'
    assert html == f"<h3>A</h3>{alert}<p>Not installed.</p>"


def test_speeds_are_drawn_of_what_was_measured() -> None:
    other = replace(CARD, name="another")
    assert model_table.draw_speeds([CARD, other], {}) == ""
    speeds = {CARD.name: [Speed(length, length / 8) for length in LENGTHS]}
    html = model_table.draw_speeds([CARD, other], speeds)
    assert html.count("<tr") == 2
    found = cells(html)
    assert found["64 tokens"] == "8.0 ms 125.0 a second"
    assert found["384 tokens"] == "48.0 ms 20.8 a second"


def test_a_reliability_diagram_is_seen_and_heard() -> None:
    bins = (Bin(40, 0.1, 0.05), Bin(1200, 0.9, 1.0))
    html = reliability.draw([CARD, replace(CARD, reliability=bins)])
    assert html.count("<figure>") == 1
    assert "ECE 2.1%" in html
    (heard,) = re.findall(r'role="img" aria-label="(.*?)"', html)
    assert heard == (
        "A model: of 40 answers scored near 10%, 5% right; of 1,200 answers scored near 90%, "
        "100% right"
    )
    bars = re.findall(r'<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"/>', html)
    (low, high) = [tuple(map(float, bar)) for bar in bars]
    assert low[3] == pytest.approx(0.05 * reliability.SIDE)
    assert high[3] == pytest.approx(reliability.SIDE)
    assert low[1] + low[3] == high[1] + high[3]  # they stand on the same line
    assert high[0] - low[0] == pytest.approx(0.8 * reliability.SIDE)
    assert reliability.draw([CARD]) == ""
