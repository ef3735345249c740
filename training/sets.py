"""Build the sets that settings are chosen on and results reported on, from files of SQuAD's 1.1
layout. Nothing is fetched, no model runs.

    python -m training.sets cut IN.json OUT.json --titles TITLES.txt
    python -m training.sets unanswerable IN.json OUT.json --tokenizer tokenizer.json

`cut` keeps the articles of these titles, one a line. `unanswerable` asks every question twice: of
its own paragraph, and of the most similar other paragraph of its article that lacks the answer,
where there is one (SQuAD's 2.0 layout; the twin's id ends in "-elsewhere").
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from training.data import Ids, most_similar_others, read_titles, split, whole

Article = dict[str, Any]


def unanswerable(articles: list[Article], tokenizer: Tokenizer) -> list[Article]:
    """Return the articles with every question's twin beside it."""
    return [_with_twins(article, tokenizer) for article in articles]


def _with_twins(article: Article, tokenizer: Tokenizer) -> Article:
    texts = [paragraph["context"] for paragraph in article["paragraphs"]]
    asked = [
        (home, question)
        for home, paragraph in enumerate(article["paragraphs"])
        for question in paragraph["qas"]
    ]
    others = most_similar_others(
        texts,
        _tokens(texts, tokenizer),
        [home for home, _ in asked],
        _tokens([question["question"] for _, question in asked], tokenizer),
        [[answer["text"] for answer in question["answers"]] for _, question in asked],
    )
    qas: list[list[dict[str, Any]]] = [[] for _ in texts]
    for (home, question), other in zip(asked, others, strict=True):
        qas[home].append(question | {"is_impossible": False})
        if other is not None:
            twin = {"id": f"{question['id']}-elsewhere", "answers": [], "is_impossible": True}
            qas[other].append(question | twin)
    paragraphs = [{"context": text, "qas": q} for text, q in zip(texts, qas, strict=True)]
    return {"title": article["title"], "paragraphs": paragraphs}


def _tokens(texts: list[str], tokenizer: Tokenizer) -> list[Ids]:
    return [text.ids for text in split(texts, tokenizer)]


def cut(articles: list[Article], titles: frozenset[str]) -> list[Article]:
    """Return the articles of these titles. Raises ValueError where there is none of some title."""
    kept = [article for article in articles if article["title"] in titles]
    if missing := sorted(titles - {article["title"] for article in kept}):
        raise ValueError(f"There is no article {missing[0]}.")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.sets", description=__doc__.split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("cut", "unanswerable"):
        command = commands.add_parser(name)
        command.add_argument("input", type=Path, nargs="+")
        command.add_argument("output", type=Path)
    commands.choices["cut"].add_argument("--titles", type=Path, required=True)
    commands.choices["unanswerable"].add_argument("--tokenizer", type=Path, required=True)
    options = parser.parse_args()
    articles = [
        article
        for file in options.input
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
    ]
    if options.command == "cut":
        articles = cut(articles, read_titles(options.titles))
    else:
        tokenizer = whole(Tokenizer.from_file(str(options.tokenizer)))
        articles = unanswerable(articles, tokenizer)
    options.output.write_text(json.dumps({"data": articles}, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
