"""Ask questions of new texts: a file of SQuAD's 1.1 layout -> one in which every question has a
text of its own.

    python -m training.augment IN.json OUT.json --share 0.5 --seed 1 --exclude-titles TITLES.txt

A run of sentences of its paragraph with the answer stands between runs of two other ones that lack
it: of the same article, or of any other where that has none. What a small encoder would have
learned by heart, it has to read again. The answers stay what they were; what else such a text may
say is for a teacher to tell.

Leaves out questions without an answer in place.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.data import read_titles

Article = dict[str, Any]

# Words of each of the two runs around the one with the answer: together as long as a paragraph of
# SQuAD's, so that a text costs about what one costs.
SURROUNDING_WORDS = 50
_SENTENCE = re.compile(r"\S.*?(?:[.!?][\"'”’)\]]*(?=\s)|\s*\Z)", re.DOTALL)


def augment(articles: list[Article], share: float, chance: random.Random) -> list[Article]:
    """The articles with a text of its own for each question, of which `share` are drawn."""
    return [
        {
            "title": article["title"],
            "paragraphs": [
                _moved(question, paragraph["context"], texts, chance)
                for paragraph in article["paragraphs"]
                for question in paragraph["qas"]
                if _in_place(question, paragraph["context"]) and chance.random() < share
            ],
        }
        for article, texts in _with_texts(articles)
    ]


def _with_texts(articles: list[Article]) -> Iterator[tuple[Article, list[str]]]:
    """Each article with the texts to take sentences from."""
    everywhere = [p["context"] for article in articles for p in article["paragraphs"]]
    for article in articles:
        own = [p["context"] for p in article["paragraphs"]]
        yield article, own if len(own) > 1 else everywhere


def _in_place(question: dict[str, Any], context: str) -> bool:
    for answer in question["answers"][:1]:
        return context.startswith(answer["text"], answer["answer_start"])
    return False


def _moved(
    question: dict[str, Any], context: str, texts: list[str], chance: random.Random
) -> dict[str, Any]:
    """A paragraph with this question alone."""
    answer = question["answers"][0]
    begin, stop = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    spans = sentences(context)
    first = chance.choice([a for a, _ in spans if a <= begin])
    last = chance.choice([b for _, b in spans if b >= stop])
    before, after = (_elsewhere(answer["text"], texts, chance) for _ in range(2))
    text = " ".join(filter(None, (before, context[first:last], after)))
    shift = (len(before) + 1 if before else 0) - first
    moved = {"text": answer["text"], "answer_start": begin + shift}
    return {"context": text, "qas": [question | {"answers": [moved]}]}


def _elsewhere(answer: str, texts: list[str], chance: random.Random) -> str:
    """A run of sentences of a text without the answer; none in a quarter of the cases, or where
    three texts drawn by chance have it, as its own has."""
    if chance.random() < 0.25:
        return ""
    for _ in range(3):
        text = chance.choice(texts)
        if answer.casefold() not in text.casefold():
            return _run(text, chance)
    return ""


def _run(text: str, chance: random.Random) -> str:
    """Sentences in a row, no more words than surround an answer."""
    spans = sentences(text)
    at = chance.randrange(len(spans))
    fitting = [
        stop
        for _, stop in spans[at:]
        if len(text[spans[at][0] : stop].split()) <= SURROUNDING_WORDS
    ]
    return text[spans[at][0] : chance.choice(fitting)] if fitting else ""


def sentences(text: str) -> list[tuple[int, int]]:
    """Where sentences begin and stop; good enough to cut a text at."""
    return [found.span() for found in _SENTENCE.finditer(text)] or [(0, len(text))]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.augment", description="Ask questions of new texts."
    )
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the questions (1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exclude-titles", type=Path, help="articles to leave out, one a line")
    options = parser.parse_args()
    exclude = read_titles(options.exclude_titles) if options.exclude_titles else frozenset()
    data = json.loads(options.input.read_text(encoding="utf-8"))["data"]
    kept = [article for article in data if article["title"] not in exclude]
    augmented = augment(kept, options.share, random.Random(options.seed))
    options.output.write_text(json.dumps({"data": augmented}, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
