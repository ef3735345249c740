"""How soon a whole book answers, and whether the first answer stays.

    python -m benchmarks.book --squad dev-v1.1.json [--questions 200]

All paragraphs of the file are one text. Its tokens are made once, which is timed apart; then
questions spread over the file are asked of the whole, one after the other. The windows that promise
most are read first (qa/lexical.py). It reports the time of the first answer shown, how often the
answer shown after a second is the one of the full scan, how early the full scan's answer is first
seen, what share of the time is the model's own, and memory over the questions. Linux only (it reads
/proc).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import resident
from qa import Reader, squad
from qa.reader import Result
from qa.spans import WindowLogits
from qa.windows import Window


@dataclass
class Timed:
    """A model that adds up the time it takes."""

    reader: Reader
    seconds: float = 0.0

    def run(self, window: Window) -> WindowLogits:
        started = time.perf_counter()
        logits = self.reader.model.run(window)
        self.seconds += time.perf_counter() - started
        return logits


@dataclass(frozen=True)
class Asked:
    """What asking one question of the book took."""

    first: float  # seconds until an answer is shown
    within_a_second: bool  # the answer shown after a second is the last one
    settled: float  # share of the windows read when the final answer first stands for good
    seconds: float
    model_seconds: float
    windows: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()
    examples = squad.read(options.squad)
    book = "\n\n".join(dict.fromkeys(example.passage for example in examples))
    loaded = Reader.load()
    model = Timed(loaded)
    reader = Reader(loaded.card, loaded.windower, model)
    started = time.perf_counter()
    tokens = len(reader.windower.passage(book))
    tokenizing = time.perf_counter() - started
    found, memory = [], []
    for example in squad.spread(examples, options.questions):
        found.append(ask(reader, model, example.question, book))
        memory.append(resident())
    report = {
        "words": len(book.split()),
        "tokens": tokens,
        "windows": found[0].windows,
        "questions": len(found),
        "tokenizing_seconds": tokenizing,
        "first_answer_seconds": statistics.median(each.first for each in found),
        "first_answer_seconds_worst": max(each.first for each in found),
        "same_after_a_second": statistics.mean(each.within_a_second for each in found),
        "settled_after_share": statistics.median(each.settled for each in found),
        "full_scan_seconds": statistics.median(each.seconds for each in found),
        "model_share": sum(e.model_seconds for e in found) / sum(e.seconds for e in found),
        "tokens_per_second": tokens * len(found) / sum(each.seconds for each in found),
        "megabytes_after_the_first": memory[0],
        "megabytes_after_the_last": memory[-1],
    }
    print(json.dumps({name: round(value, 3) for name, value in report.items()}, indent=1))


def ask(reader: Reader, model: Timed, question: str, book: str) -> Asked:
    """Ask one question, noting what is shown when."""
    before, started = model.seconds, time.perf_counter()
    shown: list[tuple[float, Result]] = [
        (time.perf_counter() - started, result) for result in reader.stream(question, book)
    ]
    seconds, last = shown[-1]
    right = _place(last)
    early = [result for at, result in shown if at <= 1.0] or [shown[0][1]]
    settled = 1.0
    for _, result in reversed(shown):
        if _place(result) != right:
            break
        settled = result.read / result.windows
    return Asked(
        first=shown[0][0],
        within_a_second=_place(early[-1]) == right,
        settled=settled,
        seconds=seconds,
        model_seconds=model.seconds - before,
        windows=last.windows,
    )


def _place(result: Result) -> tuple[int, int] | None:
    return (result.answers[0].start, result.answers[0].end) if result.answers else None


if __name__ == "__main__":
    main()
