"""The SQuAD metric against cases worked by hand from the official script's definition, and its
files."""

import json
from pathlib import Path

import pytest

from qa import squad
from qa.errors import InputError

# prediction, references, exact match, F1
CASES = [
    ("the Lamp", ("lamp!",), 1, 1),
    ("a lamp", ("an lamp",), 1, 1),
    ("Lamp-keeper", ("lampkeeper",), 1, 1),  # punctuation goes without leaving a space
    ("theatre", ("atre",), 0, 0),  # an article is a word, not the start of one
    ("in 1874", ("1874",), 0, 2 / 3),
    ("1874", ("in the year 1874",), 0, 2 * 1 * (1 / 3) / (1 + 1 / 3)),  # "the" does not count
    ("red red lamp", ("red lamp lamp",), 0, 2 / 3),  # words count as often as they stand in both
    ("blue", ("red", "sky blue", "green"), 0, 2 / 3),  # the best of several references
    ("green", ("red", "sky blue", "green"), 1, 1),
    ("  Öztürk \n", ("öztürk",), 1, 1),
    ("ÖZTÜRK", ("Ozturk",), 0, 0),  # accents count
    ("−5 °C", ("-5 °c",), 0, 2 * 0.5 * 0.5 / 1),  # only ASCII punctuation is dropped
    ("", ("lamp",), 0, 0),
    ("", (), 1, 1),  # no answer expected, none given
    ("lamp", (), 0, 0),
    ("", ("the", "lamp"), 0, 0),  # a reference without words is none
    ("...", ("the",), 1, 1),  # but where it is the only one, silence is right
]


@pytest.mark.parametrize(("prediction", "references", "exact_match", "f1"), CASES)
def test_metric(
    prediction: str, references: tuple[str, ...], exact_match: float, f1: float
) -> None:
    assert squad.exact_match(prediction, references) == exact_match
    assert squad.f1(prediction, references) == pytest.approx(f1)


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_read(tmp_path: Path) -> None:
    question = {"id": "1", "question": "Who?", "answers": [{"text": "Mara", "answer_start": 0}]}
    impossible = {"id": "2", "question": "Why?", "answers": [], "is_impossible": True}
    paragraph = {"context": "Mara did.", "qas": [question, impossible]}
    path = write(tmp_path / "a.json", {"data": [{"title": "T", "paragraphs": [paragraph]}]})
    first, second = squad.read(path)
    assert first == squad.Example("1", "T", "Who?", "Mara did.", ("Mara",))
    assert second.references == ()
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert squad.read(path) == [first, second]


def test_articles_without_a_title_stay_apart(tmp_path: Path) -> None:
    articles: list[object] = [
        {"paragraphs": [{"context": text, "qas": [{"id": text, "question": "?", "answers": []}]}]}
        for text in ("Mara sang.", "Rain fell.")
    ]
    joined = squad.join_articles(squad.read(write(tmp_path / "a.json", {"data": articles})))
    assert [example.passage for example in joined] == ["Mara sang.", "Rain fell."]


@pytest.mark.parametrize(
    "value", [[], {}, {"data": 1}, {"data": [{"paragraphs": [{}]}]}, {"data": []}, "text"]
)
def test_what_is_no_squad_file_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match=r"a\.json"):
        squad.read(write(tmp_path / "a.json", value))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        squad.read(tmp_path / "missing.json")


@pytest.mark.parametrize(("limit", "expected"), [(1, [0]), (3, [0, 3, 6]), (10, list(range(10)))])
def test_a_sample_is_spread_evenly(limit: int, expected: list[int]) -> None:
    examples = [squad.Example(str(i), "", "?", "", ()) for i in range(10)]
    assert [int(example.id) for example in squad.spread(examples, limit)] == expected
