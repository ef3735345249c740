"""The benchmark measures what it says, of processes that really run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import peers
from benchmarks.peers import Worker, regressions, table


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    started = Worker("verbatim", tmp_path)
    yield started
    started.close()


@pytest.fixture
def squad_file(tmp_path: Path) -> Path:
    qas = [{"id": "1", "question": "Who lit it?", "answers": [{"text": "Mara Quill"}]}]
    paragraph = {"context": "The lamp was lit by Mara Quill in the year 1874.", "qas": qas}
    file = tmp_path / "squad.json"
    file.write_text(json.dumps({"data": [{"title": "Lamp", "paragraphs": [paragraph]}]}))
    return file


def test_a_worker_does_what_it_is_told(worker: Worker) -> None:
    reply = worker.ask({"do": "window", "tokens": 64})
    assert reply["tokens"] == 64
    assert reply["milliseconds"] > 0
    assert 20 < reply["disk_megabytes"] < 30
    assert reply["peak_megabytes"] > reply["disk_megabytes"]
    assert worker.ask({"do": "load"})["load"] > 0


def test_a_worker_that_ends_is_told_of(worker: Worker) -> None:
    with pytest.raises(RuntimeError, match="verbatim has ended: window"):
        worker.ask({"do": "window", "tokens": 10_000})


def test_every_figure_is_measured(
    tmp_path: Path, squad_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "WORDS", 600)
    found = peers.measure(["verbatim"], tmp_path, squad_file, rounds=2, questions=1)
    figures = found["verbatim"]
    assert set(figures) == {
        *(f"ms_{n}" for n in peers.LENGTHS),
        *("question_p50", "question_p95", "questions_per_second", "tokens_per_second"),
        *("load_seconds", "peak_megabytes", "disk_megabytes"),
    }
    assert all(value > 0 for value in figures.values())


def figures(milliseconds: float, title: str = "It") -> dict[str, Any]:
    return {
        "title": title,
        "f1": 90.0,
        "f1_from": "nowhere",
        **{f"ms_{n}": milliseconds for n in peers.LENGTHS},
        "question_p50": milliseconds,
        "question_p95": milliseconds,
        "questions_per_second": 5.0,
        "tokens_per_second": 1234.0,
        "load_seconds": 1.0,
        "peak_megabytes": 100.0,
        "disk_megabytes": 20.0,
    }


def test_the_table_says_how_many_times_faster() -> None:
    drawn = table({"ours": figures(20, "Ours"), peers.BASELINE: figures(50, "Base")})
    rows = {line.split(" | ")[0]: line for line in drawn.split("\n\n")[0].splitlines()}
    assert rows["| Ours"].endswith("| 1,234 | 2.50x |")
    assert rows["| Base"].endswith("| 1,234 | 1.00x |")


def test_regressions_are_ratios_to_the_kept_ones() -> None:
    kept = {"ours": figures(20), peers.BASELINE: figures(40)}
    now = {"ours": figures(60), peers.BASELINE: figures(80)}
    lines = list(regressions(now, kept))
    assert lines[0] == "ours ms_64: 1.50 times its kept ratio to openvino-demo-f32"
    assert len(lines) == len(peers.LENGTHS) + 1
