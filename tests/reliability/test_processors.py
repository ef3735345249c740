"""The same answers on processors that have less: one without VNNI, whose products of 8-bit integers
are added in 16 bits first, where they saturate unless the weights see to it that they cannot."""

import json
import logging
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.browser.conftest import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("qemu-x86_64") is None,
        reason="there is no qemu-x86_64 here (Debian: apt install qemu-user)",
    ),
]

# Of short passages: the emulator takes seconds for a few words.
ASK = """
import json
from pathlib import Path
from numpy._core._multiarray_umath import __cpu_features__ as features
from qa import Reader

reader = Reader.load(threads=1)
told = {"features": [name for name, there in features.items() if there], "answers": []}
for name, questions in (
    ("lighthouse", ("When did work begin?", "Who won the football match?")),
    ("tides", ("What causes the tides?",)),
):
    passage = Path(f"examples/{name}.txt").read_text(encoding="utf-8")[:250]
    for question in questions:
        result = reader.answer(question, passage)
        told["answers"].append(
            {
                "spans": [(answer.text, answer.start, answer.end) for answer in result.answers],
                "scores": [*(answer.score for answer in result.answers), result.no_answer],
            }
        )
print(json.dumps(told))
"""
# Softmax and layer normalization add up in another order; the integers are the same (measured: less
# than 1e-6).
MOST = 1e-4


def ask(*processor: str) -> dict[str, Any]:
    done = subprocess.run(
        [*processor, sys.executable, "-c", ASK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_without_vnni_answers_are_the_same() -> None:
    here, there = ask(), ask("qemu-x86_64", "-cpu", "Haswell")
    assert "AVX2" in there["features"]
    assert not [name for name in there["features"] if name.startswith("AVX512")]
    differences = []
    for mine, other in zip(here["answers"], there["answers"], strict=True):
        assert mine["spans"] == other["spans"]
        differences += [abs(a - b) for a, b in zip(mine["scores"], other["scores"], strict=True)]
    logging.info("Scores differ by %.6f at most.", max(differences))
    assert max(differences) < MOST
