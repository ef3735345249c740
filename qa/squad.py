"""SQuAD files and the SQuAD metric: exact match and F1 over words.

The metric is that of the official evaluation script (Rajpurkar et al. 2016, arXiv 1606.05250;
version 2.0: arXiv 1806.03822), stated anew. No model here.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qa.errors import InputError

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Example:
    """A question of a SQuAD file; `references` are the texts people gave as its answer, none where
    it has no answer. `article` is its article's number in the file, since titles need not differ;
    `paragraph` says where its paragraph stands in a passage joined of several."""

    id: str
    title: str
    question: str
    passage: str
    references: tuple[str, ...]
    article: int = 0
    paragraph: tuple[int, int] | None = None


def read(path: Path) -> list[Example]:
    """Read a file of SQuAD's 1.1 or 2.0 layout. Raises InputError where it is not one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        examples = [
            Example(
                id=str(qa["id"]),
                title=str(article.get("title", "")),
                question=str(qa["question"]),
                passage=str(paragraph["context"]),
                references=()
                if qa.get("is_impossible")
                else tuple(str(answer["text"]) for answer in qa["answers"]),
                article=number,
            )
            for number, article in enumerate(data["data"])
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not in SQuAD's layout (data, paragraphs, qas); choose another file."
        ) from error
    if not examples:
        raise InputError(f"{path} has no questions; choose another file.")
    (name, count), *_ = Counter(example.id for example in examples).most_common(1)
    if count > 1:
        raise InputError(f"{path} has {count} questions with the id {name}; give each its own.")
    return examples


def join_articles(examples: Sequence[Example]) -> list[Example]:
    """Return the same questions asked of their whole articles: all paragraphs, in order, with an
    empty line between."""
    articles: dict[int, dict[str, tuple[int, int]]] = {}
    for example in examples:
        places = articles.setdefault(example.article, {})
        if example.passage not in places:
            start = max((stop for _, stop in places.values()), default=-2) + 2
            places[example.passage] = (start, start + len(example.passage))
    whole = {article: "\n\n".join(places) for article, places in articles.items()}
    return [
        replace(
            example,
            passage=whole[example.article],
            paragraph=articles[example.article][example.passage],
        )
        for example in examples
    ]


def spread(examples: list[Example], limit: int) -> list[Example]:
    """Return `limit` examples spread evenly over the list."""
    n = len(examples)
    return examples if limit >= n else [examples[i * n // limit] for i in range(limit)]


def normalize(text: str) -> str:
    """Lower-case, and drop punctuation, English articles and extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, references: tuple[str, ...]) -> float:
    """Return 1.0 if the prediction equals a reference once both are normalized, else 0.0. No
    references: it must be empty."""
    predicted = normalize(prediction)
    return float(any(predicted == normalize(reference) for reference in _answers(references)))


def f1(prediction: str, references: tuple[str, ...]) -> float:
    """Return the best F1, 0 to 1, of the prediction's words against a reference's."""
    return max(
        _f1(normalize(prediction).split(), normalize(r).split()) for r in _answers(references)
    )


def _answers(references: tuple[str, ...]) -> tuple[str, ...]:
    """References that say something; where there are none the right answer is no words at all
    (SQuAD 2.0)."""
    return tuple(r for r in references if normalize(r)) or ("",)


def _f1(predicted: list[str], reference: list[str]) -> float:
    common = sum((Counter(predicted) & Counter(reference)).values())
    if not predicted or not reference:
        return float(predicted == reference)
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(reference)
    return 2 * precision * recall / (precision + recall)
