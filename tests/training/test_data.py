"""What is read of SQuAD-layout files, and which other paragraph a question is asked of."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from training.data import Corpus, most_similar_others, read_titles

Make = Callable[[str], Tokenizer]


def test_most_similar_other_paragraph() -> None:
    """Question and own paragraph share most words with the last, then with the third."""
    texts = [
        "the heron stood in reeds",
        "the tram ran in the night",
        "the lake of a heron",
        "the heron of the lake stood in Reeds",
    ]
    words = {word: index for index, word in enumerate(" ".join(texts).lower().split())}

    def ids(text: str) -> np.ndarray:
        return np.array([words.get(word, 99) for word in text.split()])

    others = most_similar_others(
        texts,
        [ids(text.lower()) for text in texts],
        homes=[0, 0, 2],
        questions=[ids("where stood the heron of the lake"), *[ids("unknown words only")] * 2],
        answers=[["reeds"], ["heron"], ["tram"]],
    )
    # The last is the most similar of all but holds the first answer; only the tram lacks the
    # second; for the third the question says nothing and its paragraph decides.
    assert others == [2, 1, 3]


def test_no_other_paragraph_without_the_answer() -> None:
    paragraph = np.array([1, 2])
    assert most_similar_others(["a b"], [paragraph], [0], [paragraph], [["b"]]) == [None]


def test_titles_are_left_out(squad: Path, tokenizer: Make, tmp_path: Path) -> None:
    titles = tmp_path / "titles.txt"
    titles.write_text("Mill\nMarket\nUnknown\n", encoding="utf-8")
    corpus = Corpus.read([squad], tokenizer("bert"), read_titles(titles))
    assert len(corpus.questions) == 36
    vocabulary = tokenizer("bert").get_vocab()
    present = {int(i) for text in corpus.paragraphs for i in text.ids}
    assert vocabulary["bridge"] in present
    assert vocabulary["mill"] not in present


def test_misplaced_answers_are_skipped_and_counted(squad: Path, tokenizer: Make) -> None:
    content = json.loads(squad.read_text())
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] += 1
    content["data"][0]["paragraphs"][0]["qas"][1]["answers"] = []
    squad.write_text(json.dumps(content))
    corpus = Corpus.read([squad], tokenizer("bert"))
    assert (len(corpus.questions), corpus.skipped) == (70, 2)
