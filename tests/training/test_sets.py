"""Sets built from SQuAD-layout files: twins without an answer, and articles cut out."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from qa import catalog
from training import sets
from training.sets import cut, unanswerable

LAMP = "The lamp of the light was lit in 1874 by Mara Quill."
SEAL = "Seals sleep on the rocks below."
KEEPER = "The keeper of the lamp wound the clock of the light."


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(catalog.BUNDLED / catalog.DEFAULT / "tokenizer.json"))


def article(*paragraphs: tuple[str, str, str]) -> dict:
    return {
        "title": "Light",
        "paragraphs": [
            {
                "context": text,
                "qas": [
                    {
                        "id": str(i),
                        "question": question,
                        "answers": [{"text": answer, "answer_start": text.find(answer)}],
                    }
                ],
            }
            for i, (text, question, answer) in enumerate(paragraphs)
        ],
    }


def test_twins_are_asked_of_the_most_similar_paragraph_without_the_answer(
    tokenizer: Tokenizer,
) -> None:
    question = "Who lit the lamp of the light?"
    told = article(
        (LAMP, question, "Mara Quill"),
        (SEAL, "What sleeps there?", "Seals"),
        (KEEPER, "What did the keeper of the lamp wind?", "the clock"),
    )
    (made,) = unanswerable([told], tokenizer)
    twins = {
        qa["id"]: (paragraph["context"], qa)
        for paragraph in made["paragraphs"]
        for qa in paragraph["qas"]
        if qa["is_impossible"]
    }
    where, twin = twins["0-elsewhere"]
    assert where == KEEPER
    assert (twin["question"], twin["answers"]) == (question, [])
    assert len(twins) == 3
    kept = [qa for p in made["paragraphs"] for qa in p["qas"] if not qa["is_impossible"]]
    assert [qa["id"] for qa in kept] == ["0", "1", "2"]


def test_no_twin_where_every_other_paragraph_has_the_answer(tokenizer: Tokenizer) -> None:
    told = article((LAMP, "Who lit it?", "Mara Quill"), ("Mara Quill slept.", "Who slept?", "Mara"))
    (made,) = unanswerable([told], tokenizer)
    assert all(not qa["is_impossible"] for p in made["paragraphs"] for qa in p["qas"])


def test_articles_are_cut_out_by_their_titles() -> None:
    articles = [{"title": title, "paragraphs": []} for title in ("Fresno,_California", "Lamp", "X")]
    kept = cut(articles, frozenset({"X", "Fresno,_California"}))
    assert [article["title"] for article in kept] == ["Fresno,_California", "X"]
    with pytest.raises(ValueError, match="no article Y"):
        cut(articles, frozenset({"X", "Y"}))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    told = {"data": [article((LAMP, "Who lit it?", "Mara Quill"), (SEAL, "What sleeps?", "Seals"))]}
    (tmp_path / "in.json").write_text(json.dumps(told), encoding="utf-8")
    tokenizer = catalog.BUNDLED / catalog.DEFAULT / "tokenizer.json"
    arguments = ["sets", "unanswerable", str(tmp_path / "in.json"), str(tmp_path / "out.json")]
    monkeypatch.setattr("sys.argv", [*arguments, "--tokenizer", str(tokenizer)])
    sets.main()
    made = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert sum(len(p["qas"]) for p in made["data"][0]["paragraphs"]) == 4
