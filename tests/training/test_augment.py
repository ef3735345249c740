"""Questions asked of new texts: the answer stays in place, and nothing else holds it."""

import json
import random
import subprocess
import sys
from pathlib import Path

from training.augment import augment, sentences

LIGHT = (
    "The light stands on a skerry. Its lamp was lit in 1874. Mara Quill kept it (alone!). "
    "Boats came in June."
)
SEALS = "Seals sleep on the rocks. They wake at noon. A cow has one pup."
CLOCK = "The clock is wound by hand. It runs for 30 hours."


def article(title: str, *paragraphs: tuple[str, list[tuple[str, str]]]) -> dict:
    return {
        "title": title,
        "paragraphs": [
            {
                "context": text,
                "qas": [
                    {
                        "id": f"{title}-{asked}",
                        "question": asked,
                        "answers": [{"text": answer, "answer_start": text.find(answer)}],
                    }
                    for asked, answer in questions
                ],
            }
            for text, questions in paragraphs
        ],
    }


ISLAND = article(
    "Island",
    (LIGHT, [("Who kept it?", "Mara Quill"), ("When did boats come?", "June")]),
    (SEALS, [("When do they wake?", "noon"), ("Who winds it?", "nobody")]),
    (CLOCK, [("How long does it run?", "30 hours")]),
)


def test_sentences_end_where_a_reader_would_say_so() -> None:
    assert [LIGHT[a:b] for a, b in sentences(LIGHT)] == [
        "The light stands on a skerry.",
        "Its lamp was lit in 1874.",
        "Mara Quill kept it (alone!).",
        "Boats came in June.",
    ]
    assert sentences("no full stop") == [(0, 12)]
    assert sentences("") == [(0, 0)]


def test_every_question_gets_a_text_of_its_own_with_its_answer_in_place_once() -> None:
    seen = set()
    for seed in range(40):
        (made,) = augment([ISLAND], 1.0, random.Random(seed))
        assert made["title"] == "Island"
        # "nobody" is nowhere in its paragraph.
        assert len(made["paragraphs"]) == 4
        for paragraph in made["paragraphs"]:
            (question,) = paragraph["qas"]
            (answer,) = question["answers"]
            text = paragraph["context"]
            assert text[answer["answer_start"] :].startswith(answer["text"])
            assert text.count(answer["text"]) == 1
            assert all(text[a:b] in LIGHT + SEALS + CLOCK for a, b in sentences(text))
            seen.add(text)
    assert len(seen) > 40


def test_an_article_of_one_paragraph_takes_sentences_of_others() -> None:
    pair = [article("A", (LIGHT, [("Who kept it?", "Mara Quill")])), article("B", (SEALS, []))]
    texts = {
        paragraph["context"]
        for seed in range(20)
        for paragraph in augment(pair, 1.0, random.Random(seed))[0]["paragraphs"]
    }
    assert any("Seals" in text or "noon" in text for text in texts)


def test_the_command_leaves_articles_out_and_says_the_same_again(tmp_path: Path) -> None:
    source, titles = tmp_path / "in.json", tmp_path / "titles.txt"
    other = article("Seals", (SEALS, [("When do they wake?", "noon")]))
    source.write_text(json.dumps({"data": [ISLAND, other]}), encoding="utf-8")
    titles.write_text("Seals\n", encoding="utf-8")
    outputs = [tmp_path / "1.json", tmp_path / "2.json", tmp_path / "3.json"]
    for output, share in zip(outputs, ("1", "1", "0"), strict=True):
        command = [sys.executable, "-m", "training.augment", str(source), str(output)]
        command += ["--exclude-titles", str(titles), "--share", share, "--seed", "7"]
        subprocess.run(command, check=True)
    made, again, none = (json.loads(output.read_text(encoding="utf-8")) for output in outputs)
    assert made == again
    assert [entry["title"] for entry in made["data"]] == ["Island"]
    assert none["data"][0]["paragraphs"] == []
