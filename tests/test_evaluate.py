"""Evaluation with the default model: both protocols, joined articles, journals."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from qa import InputError, QAError, Reader
from qa.evaluate import Outcome, figures, outcomes, predictions
from qa.squad import Example, join_articles

LAMP = "The lamp was lit in 1874 by Mara Quill. She kept it for forty years."
BOAT = "The boat came every eighth week. Its master was Osric Tennant."
EXAMPLES = [
    Example("1", "Light", "Who lit the lamp?", LAMP, ("Mara Quill",)),
    Example("2", "Light", "Who was the boat's master?", BOAT, ("Osric Tennant", "Tennant")),
    Example("3", "Other", "Who lit the lamp?", LAMP, ("Mara Quill",), article=1),
]


def test_joined_articles_keep_each_paragraph_at_its_place() -> None:
    first, second, other = join_articles(EXAMPLES)
    assert first.passage == second.passage == f"{LAMP}\n\n{BOAT}"
    assert other.passage == LAMP
    for example, original in zip((first, second, other), EXAMPLES, strict=True):
        assert example.paragraph
        start, stop = example.paragraph
        assert example.passage[start:stop] == original.passage
        assert replace(example, passage=original.passage, paragraph=None) == original


@pytest.mark.parametrize("protocol", ["squad", "app"])
def test_protocols(reader: Reader, protocol: str) -> None:
    found = {o.id: o for o in outcomes(reader, join_articles(EXAMPLES), protocol)}
    assert [found[id_].text for id_ in "123"] == ["Mara Quill", "Osric Tennant", "Mara Quill"]
    report = figures(join_articles(EXAMPLES), found)
    assert (report["exact_match"], report["f1"], report["total"]) == (100, 100, 3)
    if protocol == "app":
        assert report["right_paragraph"] == 100
        assert sum(b["count"] for b in report["reliability"]) == 3
        assert 0 <= report["expected_calibration_error"] <= 1
    else:
        assert "expected_calibration_error" not in report


def test_a_journal_goes_on_where_it_stopped(reader: Reader, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    (first, *_) = outcomes(reader, EXAMPLES, "app", journal)
    lines = journal.read_text(encoding="utf-8").splitlines()
    # Marked, so that it shows where it comes from.
    marked = json.loads(lines[1]) | {"text": "from the journal"}
    journal.write_text("\n".join([lines[0], json.dumps(marked), ""]), encoding="utf-8")
    again = list(outcomes(reader, EXAMPLES, "app", journal))
    assert again[0] == replace(first, text="from the journal")
    assert [o.text for o in again[1:]] == ["Osric Tennant", "Mara Quill"]
    assert list(outcomes(reader, EXAMPLES, "app", journal)) == again
    kept = journal.read_text(encoding="utf-8")
    journal.write_text(kept[:-9], encoding="utf-8")  # stopped while it wrote
    assert list(outcomes(reader, EXAMPLES, "app", journal)) == again
    assert journal.read_text(encoding="utf-8") == kept


def test_a_journal_of_another_run_is_refused(reader: Reader, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    list(outcomes(reader, EXAMPLES[:1], "app", journal))
    with pytest.raises(InputError, match="other options"):
        list(outcomes(reader, EXAMPLES[:1], "squad", journal))
    with pytest.raises(InputError, match="other options"):
        list(outcomes(reader, EXAMPLES[:1], "app", journal, {"long": True}))
    journal.write_text("not a journal", encoding="utf-8")
    with pytest.raises(InputError, match="not a journal"):
        list(outcomes(reader, EXAMPLES[:1], "app", journal))


def test_a_journal_that_cannot_be_mended_is_told(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    list(outcomes(reader, EXAMPLES[:1], "app", journal))
    journal.write_text(journal.read_text(encoding="utf-8")[:-9], encoding="utf-8")

    def full(*_: object, **__: object) -> None:  # root, who may write everywhere, runs this too
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(QAError, match="journal cannot be written: No space left on device"):
        list(outcomes(reader, EXAMPLES[:1], "app", journal))


def test_figures_of_a_file_with_impossible_questions() -> None:
    examples = [EXAMPLES[0], replace(EXAMPLES[1], references=())]
    found = {
        "1": Outcome("1", "Mara Quill", score=0.8, no_answer=0.1),
        "2": Outcome("2", "Osric Tennant", score=0.3, no_answer=0.6),
    }
    assert predictions(examples, found) == {"1": "Mara Quill", "2": ""}
    report = figures(examples, found)
    assert report["exact_match"] == 100
    assert report["no_answer"] == {
        "exact_match": 100,
        "f1": 100,
        "total": 1,
        "area_under_roc": 1.0,
        "accuracy": 100,
    }
    # The calibration of scores is that of questions that have an answer.
    assert report["expected_calibration_error"] == pytest.approx(0.2)
    # A protocol without scores holds nothing back.
    silent = {id_: Outcome(id_, outcome.text) for id_, outcome in found.items()}
    assert predictions(examples, silent)["2"] == "Osric Tennant"
    assert figures(examples, silent)["no_answer"] == {"exact_match": 0, "f1": 0, "total": 1}
