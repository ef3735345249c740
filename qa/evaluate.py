"""A reader on a SQuAD file -> exact match and F1, by the protocol of model cards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qa import squad
from qa.reader import Reader
from qa.squad import Example


@dataclass(frozen=True, slots=True)
class Report:
    """`exact_match` and `f1` in percent; `predictions` maps question ids to texts, as the official
    script reads them. `has_answer` and `no_answer` split both by whether the question has an
    answer, where the file has both kinds."""

    model: str
    exact_match: float
    f1: float
    total: int
    seconds: float
    has_answer: dict[str, float] | None
    no_answer: dict[str, float] | None
    predictions: dict[str, str] = field(repr=False)


def evaluate(
    reader: Reader, examples: list[Example], progress: Callable[[int], object] = lambda done: None
) -> Report:
    """Answer every example; `progress` is called with the number done after each."""
    started = time.perf_counter()
    predictions: dict[str, str] = {}
    for example in examples:
        predictions[example.id] = reader.predict_squad(example.question, example.passage)
        progress(len(predictions))
    seconds = time.perf_counter() - started
    answerable = [example for example in examples if example.references]
    impossible = [example for example in examples if not example.references]
    both = bool(answerable and impossible)
    overall = _figures(examples, predictions)
    return Report(
        model=reader.card.name,
        exact_match=overall["exact_match"],
        f1=overall["f1"],
        total=len(examples),
        seconds=round(seconds, 3),
        has_answer=_figures(answerable, predictions) if both else None,
        no_answer=_figures(impossible, predictions) if both else None,
        predictions=predictions,
    )


def _figures(examples: list[Example], predictions: dict[str, str]) -> dict[str, float]:
    """Return exact match and F1 in percent, and how many questions they are of."""
    pairs = [(predictions[example.id], example.references) for example in examples]
    return {
        "exact_match": 100 * sum(squad.exact_match(*pair) for pair in pairs) / len(pairs),
        "f1": 100 * sum(squad.f1(*pair) for pair in pairs) / len(pairs),
        "total": len(pairs),
    }
