"""Whether answers depend on where windows happen to fall.

    python -m benchmarks.shift --squad dev-v1.1.json [--questions 300] [--model M]

Each question is asked of its paragraph and those that follow it in the article, about WORDS words,
twice: as they are, and below a few neutral sentences, which move every window by about a third of
its length. It reports in what share of questions the best answer is another one (other words, or
the same at another place), and the exact match and F1 of both.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from qa import Reader, catalog, squad
from qa.squad import Example

WORDS = 1_000
NEUTRAL = (
    "This text was printed on plain paper. The margins are wide and the letters are black. It may "
    "be copied, folded and put into a drawer. Nothing on this first page matters for what follows. "
    "The lines are numbered on the left, and a blank line stands between two parts. Whoever reads "
    "it aloud should pause there. The paper is a little rough, the ink does not smudge, and the "
    "corners are cut at right angles.\n\n"
)


@dataclass(frozen=True)
class Found:
    """What a question got: the best answer's place in the text itself, and how right it is."""

    start: int
    exact_match: float
    f1: float
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--model", default=catalog.DEFAULT, metavar="M", help="name or folder")
    options = parser.parse_args()
    reader, examples = Reader.load(options.model), squad.read(options.squad)
    paragraphs = list(dict.fromkeys((each.title, each.passage) for each in examples))
    chosen = squad.spread(examples, options.questions)
    found = [ask(reader, each, text_from(each, paragraphs)) for each in chosen]
    changed = mean((a.start, a.text) != (b.start, b.text) for a, b in found)
    report = {"model": reader.card.name, "questions": len(found), "changed": changed}
    for name, results in zip(("plain", "shifted"), zip(*found, strict=True), strict=True):
        report[f"exact_match_{name}"] = mean(result.exact_match for result in results)
        report[f"f1_{name}"] = mean(result.f1 for result in results)
    print(json.dumps(report, indent=1))


def text_from(example: Example, paragraphs: Sequence[tuple[str, str]]) -> str:
    """Return the example's paragraph and the following ones of its article, WORDS words or as many
    as there are."""
    first = paragraphs.index((example.title, example.passage))
    text = ""
    for title, paragraph in paragraphs[first:]:
        if title != example.title or len(text.split()) >= WORDS:
            break
        text += paragraph + "\n\n"
    return text


def ask(reader: Reader, example: Example, text: str) -> tuple[Found, Found]:
    """Ask the question of the text and of the text below the neutral sentences."""
    found = []
    for before in ("", NEUTRAL):
        (best,) = reader.answer(example.question, before + text, top_k=1).answers
        right = squad.exact_match(best.text, example.references)
        f1 = squad.f1(best.text, example.references)
        found.append(Found(best.start - len(before), right, f1, best.text))
    return found[0], found[1]


if __name__ == "__main__":
    main()
