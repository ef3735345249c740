"""Models drawn as HTML: every figure where it belongs, and nothing of a card becomes an element."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from qa import ModelCard
from qa.store import Progress
from tests.test_answers_html import Page
from tests.texts import any_text
from ui import model_table

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
    to_fetch=368_509_620,
)
OURS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "div", "b", "code", "small", "span"}


def cells(html: str) -> dict[str, str]:
    """Return the text of each cell of the one model drawn, by its column."""
    found = re.findall(r'<td role="cell" data-column="(.*?)"><div>(.*?)</div></td>', html)
    return {column: re.sub("<.*?>", " ", value).strip() for column, value in found}


def test_each_figure_stands_in_its_column() -> None:
    html = model_table.draw_table([CARD], "another")
    assert cells(html) == {
        "Size": "369 MB to fetch",
        "Parameters": "334 million",
        "GOps": "246.93",
        "EM": "86.36",
        "F1": "92.6 all of SQuAD v1.1 dev (the publisher&#x27;s figures)",
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
    assert (found["Size"], found["State"]) == ("1.2 MB", "Installed answers first")


def test_what_nobody_knows_is_said_to_be_unknown() -> None:
    bare = ModelCard(name="bare", folder=Path("nowhere"), to_fetch=1)
    found = cells(model_table.draw_table([bare], "another"))
    unknown = {column for column, value in found.items() if value == "unknown"}
    assert unknown == {"Parameters", "GOps", "EM", "F1", "Licence"}


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
    )
    html = (
        model_table.draw_table([card], text)
        + model_table.draw_status(text, text)
        + model_table.draw_failure(text, text, text)
        + model_table.draw_progress(text, None)
    )
    allowed = {"class", "role", "scope", "data-column", "aria-label"}
    for tag, attributes in Page(html).elements:
        assert tag in OURS | {"h3", "p", "progress"}
        assert set(attributes) <= allowed
    html.encode("utf-8")  # no lone surrogate is left


@pytest.mark.parametrize(
    ("progress", "seen", "spoken", "bar"),
    [
        (None, "Looking for it", "Fetching A", "></progress>"),
        (Progress("wait", 0, 9), "Another process is fetching it", "Fetching A", "></progress>"),
        (
            Progress("fetch", 1_234_567, 42_600_425, 3_100_000.0, 61.4),
            "1.2 of 43 MB, 3.1 MB/s, 1:01 left",
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
