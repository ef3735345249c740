"""A reader on a SQuAD file -> exact match, F1, and whether scores mean what they say.

Two protocols: `squad` is that of model cards (run_squad's windows and choice, no rules of ours),
`app` is what a person gets who asks in the interface. A journal of finished questions lets a run
that was stopped go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qa import calibration, squad
from qa.errors import InputError, QAError
from qa.reader import Reader
from qa.squad import Example


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a question got: the best guess, whatever the chance of no answer. The protocol `squad`
    has no scores; `right_paragraph` is known where paragraphs were joined."""

    id: str
    text: str
    score: float | None = None
    no_answer: float | None = None
    right_paragraph: bool | None = None


def outcomes(
    reader: Reader,
    examples: Iterable[Example],
    protocol: str,
    journal: Path | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> Iterator[Outcome]:
    """Answer every example in turn, skipping those the journal has. `conditions` are what else
    outcomes depend on, as JSON has it: a journal of other ones is not gone on with.

    Raises InputError where the journal is of another run, QAError where it cannot be written.
    """
    run = {"model": reader.card.name, "protocol": protocol} | dict(conditions or {})
    try:
        done = _read_journal(journal, run) if journal and journal.exists() else {}
        with journal.open("a", encoding="utf-8") if journal else nullcontext() as log:
            if log and not log.tell():
                print(json.dumps(run), file=log, flush=True)
            for example in examples:
                if example.id in done:
                    yield done[example.id]
                    continue
                outcome = _outcome(reader, example, protocol)
                if log:
                    print(json.dumps(asdict(outcome)), file=log, flush=True)
                yield outcome
    except OSError as error:
        raise QAError(f"{journal} cannot be written: {error.strerror}.") from error


def _outcome(reader: Reader, example: Example, protocol: str) -> Outcome:
    if protocol == "squad":
        return Outcome(example.id, reader.predict_squad(example.question, example.passage))
    result = reader.answer(example.question, example.passage, top_k=1)
    if not result.answers:
        return Outcome(example.id, "", 0.0, result.no_answer)
    (best,) = result.answers
    home = example.paragraph
    right = home[0] <= best.start < home[1] if home else None
    return Outcome(example.id, best.text, best.score, result.no_answer, right)


def _read_journal(journal: Path, run: Mapping[str, Any]) -> dict[str, Outcome]:
    """Return what a journal has. The line that a run was stopped in is cut off."""
    try:
        text = journal.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        first, *lines = (whole or text).splitlines() or [json.dumps(run)]
        written_by = json.loads(first)
        found = [Outcome(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{journal} is not a journal of this command; name another.") from error
    if written_by != run:
        raise InputError(f"{journal} is of a run with other options; name another.")
    if whole != text:
        journal.write_text(whole, encoding="utf-8")
    return {outcome.id: outcome for outcome in found}


def predictions(examples: Sequence[Example], found: Mapping[str, Outcome]) -> dict[str, str]:
    """Return question id -> text, as the official script reads it. Where the file has questions
    without an answer (SQuAD 2.0), the text is empty if no answer is likelier than not."""
    if all(example.references for example in examples):
        return {example.id: found[example.id].text for example in examples}
    return {
        example.id: "" if (found[example.id].no_answer or 0) > 0.5 else found[example.id].text
        for example in examples
    }


def figures(examples: Sequence[Example], found: Mapping[str, Outcome]) -> dict[str, Any]:
    """Return the figures of a run, in percent where they are shares of questions.

    Always exact_match, f1 and total. Where there are scores: expected_calibration_error (of the
    best guess, over questions that have an answer) and the reliability diagram's bins. Where the
    file has questions with and without an answer: the same figures for each kind, and how well
    no_answer tells them apart. Where paragraphs were joined: right_paragraph.
    """
    texts = predictions(examples, found)
    answerable = [example for example in examples if example.references]
    impossible = [example for example in examples if not example.references]
    report = _accuracy(examples, texts)
    scored = [example for example in answerable if found[example.id].score is not None]
    if scored:
        scores = [found[example.id].score or 0.0 for example in scored]
        right = [squad.exact_match(found[e.id].text, e.references) for e in scored]
        report["expected_calibration_error"] = calibration.expected_calibration_error(scores, right)
        report["reliability"] = [asdict(b) for b in calibration.reliability(scores, right)]
    placed = [found[e.id].right_paragraph for e in examples]
    if any(place is not None for place in placed):
        report["right_paragraph"] = 100 * sum(map(bool, placed)) / len(placed)
    if answerable and impossible:
        report["has_answer"] = _accuracy(answerable, texts)
        report["no_answer"] = _accuracy(impossible, texts)
        chances = [found[example.id].no_answer for example in examples]
        if None not in chances:
            is_impossible = [not example.references for example in examples]
            said = [(chance or 0) > 0.5 for chance in chances]
            agree = sum(a == b for a, b in zip(said, is_impossible, strict=True))
            report["no_answer"] |= {
                "area_under_roc": calibration.area_under_roc(
                    [chance or 0.0 for chance in chances], is_impossible
                ),
                "accuracy": 100 * agree / len(examples),
            }
    return report


def _accuracy(examples: Sequence[Example], texts: Mapping[str, str]) -> dict[str, Any]:
    pairs = [(texts[example.id], example.references) for example in examples]
    return {
        "exact_match": 100 * sum(squad.exact_match(*pair) for pair in pairs) / len(pairs),
        "f1": 100 * sum(squad.f1(*pair) for pair in pairs) / len(pairs),
        "total": len(pairs),
    }
