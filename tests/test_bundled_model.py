"""The bundled INT8 model, through the app's own windows, against the FP32 checkpoint it was made
from.

tests/golden.json holds what the checkpoint answers under the transformers library
(training/golden.py). Rounding to INT8 moves logits; by how much it may is stated here, little above
what it does.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qa import Reader
from qa.reader import LONGEST_ANSWER, OVERLAP
from qa.spans import WindowLogits

FOLDER = Path(__file__).resolve().parent
EXAMPLES = FOLDER.parent / "examples"
TABLE: dict[str, Any] = json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))
ROWS: list[dict[str, Any]] = TABLE["rows"]

# Logits of the answers: largest and root-mean-square difference from FP32 (measured: 0.36, 0.13).
LARGEST, TYPICAL = 0.45, 0.15
# The same of each window's best start and end (0.55, 0.16), and of its null span, the sum of two
# logits at [CLS] (0.36, 0.12).
LARGEST_OF_WINDOW, TYPICAL_OF_WINDOW = 0.8, 0.23
LARGEST_OF_NULL, TYPICAL_OF_NULL = 0.6, 0.2
# An answer that leads every span apart from it by more than this must stay, give or take its edges;
# one that leads every other span by as much must stay to the character.
CLEAR = 1.0


def passage_of(row: dict[str, Any]) -> str:
    if "passage" in row:
        return str(row["passage"])
    # Bytes, because reading as text would hide CR LF.
    return (EXAMPLES / str(row["example"])).read_bytes().decode("utf-8")


@pytest.fixture(scope="module")
def logits(reader: Reader) -> list[list[WindowLogits]]:
    """The bundled model's logits of every row, window by window."""
    return [
        list(
            reader.logits(
                reader.windower.question(row["question"])[0],
                reader.windower.passage(passage_of(row)),
            )
        )
        for row in ROWS
    ]


def test_the_table_is_of_these_passages_and_settings(reader: Reader) -> None:
    assert TABLE["overlap"] == OVERLAP
    assert TABLE["longest_answer"] == LONGEST_ANSWER
    assert TABLE["max_sequence"] == reader.card.frame.max_sequence
    for row in ROWS:
        digest = hashlib.sha256(passage_of(row).encode()).hexdigest()
        assert digest == row["passage_sha256"], f"{row['question']}: run training.golden again"


def test_windows_are_those_of_transformers(logits: list[list[WindowLogits]]) -> None:
    for row, windows in zip(ROWS, logits, strict=True):
        assert [len(w.start) for w in windows] == [w["tokens"] for w in row["windows"]]
    assert sum(len(windows) > 1 for windows in logits) >= 10


def test_logits_of_the_answers_are_near(logits: list[list[WindowLogits]]) -> None:
    differences = []
    for row, windows in zip(ROWS, logits, strict=True):
        window = windows[row["window"]]
        differences.append(window.start[row["first_token"]] - row["start_logit"])
        differences.append(window.end[row["last_token"]] - row["end_logit"])
    assert np.abs(differences).max() < LARGEST
    assert np.sqrt(np.mean(np.square(differences))) < TYPICAL


def test_logits_of_every_window_are_near(logits: list[list[WindowLogits]]) -> None:
    best, null = [], []
    for row, windows in zip(ROWS, logits, strict=True):
        for window, expected in zip(windows, row["windows"], strict=True):
            best.append(window.start[window.passage].max() - expected["start_max"])
            best.append(window.end[window.passage].max() - expected["end_max"])
            null.append(window.null - expected["null"])
    assert np.abs(best).max() < LARGEST_OF_WINDOW
    assert np.sqrt(np.mean(np.square(best))) < TYPICAL_OF_WINDOW
    assert np.abs(null).max() < LARGEST_OF_NULL
    assert np.sqrt(np.mean(np.square(null))) < TYPICAL_OF_NULL


def test_clear_answers_are_the_same(reader: Reader) -> None:
    clear = [row for row in ROWS if row["margin"] is None or row["margin"] > CLEAR]
    assert len(clear) >= 24
    same = 0
    for row in clear:
        passage = passage_of(row)
        (answer,) = reader.answer(row["question"], passage, top_k=1).answers
        assert max(answer.start, row["start"]) < min(answer.end, row["end"]), row["question"]
        if row["lead"] is None or row["lead"] > CLEAR:
            assert answer.text == row["answer"]
            assert (answer.start, answer.end) == (row["start"], row["end"])
            same += 1
    assert same >= 17
