"""Build choosing and reporting sets from files of SQuAD's 1.1 layout. Nothing is fetched, no model
runs.

    python -m training.sets unanswerable IN.json OUT.json --tokenizer tokenizer.json
    python -m training.sets regroup IN.json OUT.json --paragraphs 40

`unanswerable` asks every question twice: of its own paragraph, and of the most similar other
paragraph of its article that lacks the answer, where there is one (SQuAD's 2.0 layout; the twin's
id ends in "-elsewhere"). `regroup` deals the paragraphs out into articles of so many each, for sets
whose own articles have one or two.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from training.data import Ids, most_similar_others, split, whole

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


def regroup(articles: list[Article], size: int) -> list[Article]:
    """Deal paragraphs out, every k-th into the k-th article, so that neighbours in the file do not
    meet again."""
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    count = max(1, len(paragraphs) // size)
    return [{"title": f"group {k}", "paragraphs": paragraphs[k::count]} for k in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.sets", description=__doc__.split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("unanswerable", "regroup"):
        command = commands.add_parser(name)
        command.add_argument("input", type=Path, nargs="+")
        command.add_argument("output", type=Path)
    commands.choices["unanswerable"].add_argument("--tokenizer", type=Path, required=True)
    commands.choices["regroup"].add_argument("--paragraphs", type=int, default=40)
    options = parser.parse_args()
    articles = [
        article
        for file in options.input
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
    ]
    if options.command == "regroup":
        articles = regroup(articles, options.paragraphs)
    else:
        tokenizer = whole(Tokenizer.from_file(str(options.tokenizer)))
        articles = unanswerable(articles, tokenizer)
    options.output.write_text(json.dumps({"data": articles}, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
