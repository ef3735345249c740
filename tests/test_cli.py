"""The command line as a user has it: a process, its output and its exit code."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qa import Reader, commands, evaluate
from qa.__main__ import main
from tests.document_files import pdf

ROOT = Path(__file__).parent.parent
PASSAGE = "The lamp was lit in 1874 by Mara Quill. She kept it for forty years."


@pytest.fixture
def passage_file(tmp_path: Path) -> Path:
    file = tmp_path / "passage.txt"
    file.write_text(PASSAGE, encoding="utf-8")
    return file


@pytest.fixture
def squad_file(tmp_path: Path) -> Path:
    questions = {
        "a": ("Who lit the lamp?", "Mara Quill"),
        "b": ("When?", "1874"),
        "c": ("Why?", ""),
    }
    qas = [
        {
            "id": number,
            "question": question,
            "answers": [{"text": answer}] * bool(answer),
            "is_impossible": not answer,
        }
        for number, (question, answer) in questions.items()
    ]
    data = {"data": [{"title": "Lamp", "paragraphs": [{"context": PASSAGE, "qas": qas}]}]}
    file = tmp_path / "squad.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def run(*arguments: object, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Run `python -m qa` and return exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "qa", *map(str, arguments)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        timeout=60,
        env=os.environ | environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_ask_json_is_the_contract(passage_file: Path, reader: Reader) -> None:
    code, out, err = run("ask", "Who lit the lamp?", "--text", passage_file, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result.keys() >= {
        "model",
        "answers",
        "no_answer",
        "windows",
        "tokens",
        "milliseconds",
    }
    expected = reader.answer("Who lit the lamp?", PASSAGE).to_dict()
    for answer, same in zip(result["answers"], expected["answers"], strict=True):
        assert (answer["text"], answer["start"], answer["end"]) == (
            same["text"],
            same["start"],
            same["end"],
        )
        assert answer["score"] == pytest.approx(same["score"], abs=1e-4)
    assert result["answers"][0]["text"] == "Mara Quill"


def test_ask_for_people_reads_standard_input() -> None:
    asked = ("ask", "When was it lit?", "--text", "-", "--top-k", 1)
    code, out, err = run(*asked, stdin=PASSAGE.encode())
    assert (code, err) == (0, "")
    assert out.startswith("1. 1874  (score 0.")
    assert "2." not in out


def test_ask_says_the_page_of_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = tmp_path / "book.pdf"
    book.write_bytes(pdf([["A book about a lamp."], [PASSAGE]]))
    asked = ["ask", "Who lit the lamp?", "--text", str(book), "--top-k", "1"]
    assert main(asked) == 0
    assert "page 2, characters" in capsys.readouterr().out
    assert main([*asked, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert (answer["text"], answer["page"]) == ("Mara Quill", 2)


def test_a_console_that_cannot_show_a_character(passage_file: Path) -> None:
    passage_file.write_text("İlhan sang.", encoding="utf-8")
    code, out, _ = run("ask", "Who sang?", "--text", passage_file, PYTHONIOENCODING="ascii")
    assert code == 0
    assert "\\u0130lhan" in out


def test_evaluate(squad_file: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions.json"
    code, out, err = run("evaluate", squad_file, "--predictions", predictions, "--json")
    assert (code, err) == (0, "")
    figures = json.loads(out)
    assert figures["total"] == 3
    assert figures["has_answer"] == {"exact_match": 100.0, "f1": 100.0, "total": 2}
    assert figures["no_answer"]["total"] == 1
    assert json.loads(predictions.read_text(encoding="utf-8"))["a"] == "Mara Quill"
    code, out, _ = run("evaluate", squad_file, "--limit", 1)
    assert code == 0
    assert "1 questions" in out
    assert "exact match 100.00, F1 100.00" in out


def test_predictions_that_cannot_be_written_are_told_first(
    squad_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluate, "outcomes", lambda *_: pytest.fail("nothing is asked before"))
    nowhere = tmp_path / "nowhere" / "predictions.json"
    assert main(["evaluate", str(squad_file), "--predictions", str(nowhere)]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{nowhere} cannot be written: No such file or directory.\n")


def test_two_questions_of_one_id(squad_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = squad_file.read_text(encoding="utf-8").replace('"id": "b"', '"id": "a"')
    squad_file.write_text(text, encoding="utf-8")
    assert main(["evaluate", str(squad_file)]) == 2
    assert "2 questions with the id a; give each its own" in capsys.readouterr().err


def test_whoever_reads_the_output_may_go_away(passage_file: Path) -> None:
    ask = [sys.executable, "-m", "qa", "ask", "Who lit it?", "--text", str(passage_file)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        ask, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_one_line(unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "qa", "models"],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    said = "What was found could not be written: No space left on device.\n"
    assert (done.returncode, done.stderr.decode()) == (1, said)


def test_predictions_hold_what_no_encoding_can(tmp_path: Path) -> None:
    asked = {"id": "a", "question": "Who lit the lamp?", "answers": [{"text": "Ada"}]}
    context = "The lamp was lit by Ada\ud800Lovelace."
    data = {"data": [{"title": "Lamp", "paragraphs": [{"context": context, "qas": [asked]}]}]}
    file, predictions = tmp_path / "squad.json", tmp_path / "predictions.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    assert main(["evaluate", str(file), "--predictions", str(predictions)]) == 0
    assert json.loads(predictions.read_text(encoding="utf-8"))["a"] == "Ada\ud800Lovelace"


def test_models() -> None:
    code, out, err = run("models", "--json")
    assert (code, err) == (0, "")
    (model, *_) = json.loads(out)["models"]
    assert model["name"] == "minilm-l6-squad-int8"
    assert model["installed"] is model["default"] is True
    assert 0 < model["size"] < 24_000_000
    assert 60 < model["exact_match"] < model["f1"] < 100
    assert "minilm-l6-squad-int8" in run("models")[1]


def test_bench() -> None:
    code, out, err = run("bench", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["model"] == "minilm-l6-squad-int8"
    assert [found["tokens"] for found in report["lengths"]] == [64, 128, 256, 384]
    for found in report["lengths"]:
        assert found["tokens_per_second"] == pytest.approx(
            1000 * found["tokens"] / found["milliseconds"]
        )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ask", "", "--text", "PASSAGE"], 2, "The question is empty"),
        (["ask", "Who?", "--text", "BLANK"], 2, "blank.txt has no text in it"),
        (["ask", "Who?", "--text", "MISSING"], 2, "cannot be read"),
        (["ask", "Who?", "--text", "FOLDER"], 2, "cannot be read"),
        (["ask", "Who?", "--text", "BINARY"], 2, "binary.txt is no text"),
        (["ask", "Who?", "--text", "PASSAGE", "--top-k", "0"], 2, "from 1 to 100"),
        (["ask", "Who?", "--text", "PASSAGE", "--model", "none"], 2, "There is no model 'none'"),
        (["ask", "Who?", "--text", "PASSAGE", "--model", "FOLDER"], 1, "has no model.onnx"),
        (["ask", "Who?", "--text", "PASSAGE", "--engine", "steam"], 2, "no engine 'steam'"),
        (["evaluate", "SQUAD", "--engine", "steam"], 2, "no engine 'steam'"),
        (["bench", "--engine", "steam"], 2, "no engine 'steam'"),
        (["bench", "--model", "LONG"], 2, "There is no model"),
        (["evaluate", "SQUAD", "--resume", "LONG"], 1, "cannot be"),
        (["evaluate", "PASSAGE"], 2, "is not in SQuAD's layout"),
        (["evaluate", "MISSING"], 2, "cannot be read"),
        (["evaluate", "SQUAD", "--limit", "0"], 2, "--limit must be at least 1"),
        (["evaluate", "SQUAD", "--limit", "1", "--predictions", "FOLDER"], 1, "cannot be written"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    code: int,
    message: str,
    passage_file: Path,
    squad_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "blank.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "binary.txt").write_bytes(bytes(range(32)))
    files = {
        "PASSAGE": passage_file,
        "SQUAD": squad_file,
        "BLANK": tmp_path / "blank.txt",
        "BINARY": tmp_path / "binary.txt",
        "MISSING": tmp_path / "missing.txt",
        "FOLDER": tmp_path,
        "LONG": tmp_path / ("a" * 300),
    }
    assert main([str(files.get(argument, argument)) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_memory_that_does_not_suffice_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(commands, "models", full)
    assert main(["models"]) == 1
    said = "There is not enough memory; close other programs or choose a smaller model.\n"
    assert capsys.readouterr().err == said


def test_bad_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ask"])
    assert caught.value.code == 2
    said = "the following arguments are required: QUESTION, --text; see python -m qa ask --help.\n"
    assert capsys.readouterr().err == said


def test_standard_input_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\x00")))
    assert main(["ask", "Who?", "--text", "-"]) == 2
