"""The example passages and their questions keep what is promised of them; the scripts beside them
run."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import pytest

from tests.document_files import pdf
from tests.texts import prose

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples"
TEXTS = sorted(file.name for file in FOLDER.glob("*.txt"))
# The one passage that is about accents written both ways.
COMBINING = "harbour-names.txt"


class Question(TypedDict):
    question: str
    answers: list[str]


class Entry(TypedDict):
    title: str
    about: str
    questions: list[Question]


def read(name: str) -> str:
    # Bytes, because reading as text would hide CR LF.
    return (FOLDER / name).read_bytes().decode("utf-8")


ENTRIES: dict[str, Entry] = json.loads(read("questions.json"))


def test_every_passage_has_an_entry_and_every_entry_a_passage() -> None:
    assert sorted(ENTRIES) == TEXTS
    assert len(TEXTS) >= 6


@pytest.mark.parametrize("name", TEXTS)
def test_an_entry_is_complete(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.keys() == {"title", "about", "questions"}
    for line in (entry["title"], entry["about"]):
        assert line == line.strip() != ""
        assert len(line) <= 70
        assert "\n" not in line
    assert 5 <= len(entry["questions"]) <= 8
    questions = [item["question"] for item in entry["questions"]]
    assert len(set(questions)) == len(questions)
    for question in questions:
        assert re.fullmatch(r"[A-Z].*\?", question)


@pytest.mark.parametrize("name", TEXTS)
def test_answers_stand_in_the_passage_word_for_word(name: str) -> None:
    passage = read(name)
    for item in ENTRIES[name]["questions"]:
        for answer in item["answers"]:
            assert re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", passage), answer


@pytest.mark.parametrize("name", TEXTS)
def test_one_question_is_not_answered_by_the_passage(name: str) -> None:
    answers = [item["answers"] for item in ENTRIES[name]["questions"]]
    assert answers.count([]) == 1
    # The first question is the one shown answered.
    assert answers[0]


@pytest.mark.parametrize("name", TEXTS)
def test_paragraphs_are_lines_between_blank_lines(name: str) -> None:
    passage = read(name)
    assert passage.endswith("\n")
    paragraphs = passage.removesuffix("\n").split("\n\n")
    assert len(paragraphs) >= 3
    for paragraph in paragraphs:
        assert paragraph == paragraph.strip() != ""
        assert len(paragraph.splitlines()) == 1
        assert "  " not in paragraph


@pytest.mark.parametrize("name", [*TEXTS, "questions.json"])
def test_no_character_is_there_by_accident(name: str) -> None:
    text = read(name)
    # Of the format characters, only the joiner of emoji sequences has a place here.
    for character in set(text) - {"\n", "\u200d"}:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}
        assert unicodedata.category(character) != "Zs" or character == " "
    if name not in (COMBINING, "questions.json"):
        assert unicodedata.is_normalized("NFC", text)
        assert "\u200d" not in text


def test_sizes() -> None:
    words = {name: len(read(name).split()) for name in TEXTS}
    assert 120 <= words["lighthouse.txt"] <= 180  # read at a glance: the page opens with it
    assert words["expedition.txt"] > 1800
    assert min(words.values()) >= 120


def test_the_page_opens_with_the_lighthouse() -> None:
    assert next(iter(ENTRIES)) == "lighthouse.txt"


def test_the_long_passage_is_asked_about_all_along() -> None:
    passage = read("expedition.txt")
    places = []
    for item in ENTRIES["expedition.txt"]["questions"]:
        if item["answers"]:
            longest = item["answers"][0]
            assert len(re.findall(rf"(?<!\w){re.escape(longest)}(?!\w)", passage)) == 1
            places.append(passage.index(longest) / len(passage))
    for quarter in range(4):
        assert any(quarter / 4 <= place < (quarter + 1) / 4 for place in places), quarter


def test_names_come_in_many_scripts_with_both_kinds_of_accent() -> None:
    passage = read(COMBINING)
    scripts = ("GREEK", "CYRILLIC", "ARABIC", "HEBREW", "DEVANAGARI", "CJK", "HIRAGANA", "HANGUL")
    names = [unicodedata.name(character, "") for character in passage]
    for script in scripts:
        assert any(name.startswith(script) for name in names), script
    assert "á" in passage
    assert "a\u0301" in passage
    assert not unicodedata.is_normalized("NFC", passage)
    assert not unicodedata.is_normalized("NFD", passage)
    assert "\U0001f468\u200d\U0001f469\u200d\U0001f467" in passage  # a family, joined
    assert "\U0001f1ec\U0001f1f7" in passage  # the flag of Greece, two regional indicators


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "utf8", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_ask_from_python_answers_the_first_question() -> None:
    done = run("-m", "examples.ask_from_python")
    assert done.stderr == ""
    assert done.returncode == 0
    passage = read("lighthouse.txt")
    answer = ENTRIES["lighthouse.txt"]["questions"][0]["answers"][0]
    start = passage.index(answer)
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0] == f"1. {answer}"
    assert lines[1].endswith(f"characters {start} to {start + len(answer)}")
    assert lines[2].startswith("in: Its first lamp burned whale oil")
    assert "total" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Who?", "--text", "examples"), "examples cannot be read as UTF-8 text."),
        (("Who?", "--top-k", "0"), "The number of answers must be"),
        ((" ",), "The question is empty"),
    ],
)
def test_ask_from_python_says_what_is_wrong(arguments: tuple[str, ...], sentence: str) -> None:
    done = run("-m", "examples.ask_from_python", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


# Runs the script and names every host it looks up.
WATCHED = """
import runpy, sys
sys.addaudithook(lambda event, args: event == "socket.getaddrinfo" and print(args[0]))
runpy.run_module("examples.call_the_api", run_name="__main__")
"""


def test_call_the_api_says_that_nobody_answers_and_asks_nobody_else() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody can answer there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        done = run("-c", WATCHED, url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"No Verbatim answers at {url};")
    assert done.stderr.count("\n") == 1
    assert set(done.stdout.split()) == {"127.0.0.1"}


def test_ask_a_folder_gives_a_line_for_each_file_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "mill.md").write_text("The mill was sold to Ann Reed.", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "sale.pdf").write_bytes(pdf([["A sale."], ["Bob Hill bought it."]]))
    (tmp_path / "broken.docx").write_bytes(b"nothing")
    (tmp_path / "picture.png").write_bytes(b"no text")
    done = run("-m", "examples.ask_a_folder", str(tmp_path), "Who bought it?")
    assert done.returncode == 0
    assert done.stderr.startswith(f"{tmp_path / 'broken.docx'}: broken.docx is no DOCX file")
    assert done.stderr.count("\n") == 1
    rows = list(csv.DictReader(done.stdout.splitlines()))
    found = {Path(row["file"]).name: (row["page"], row["answer"]) for row in rows}
    assert found == {"mill.md": ("", "Ann Reed"), "sale.pdf": ("2", "Bob Hill")}
    assert float(rows[0]["score"]) >= float(rows[1]["score"]) > 0


def test_ask_a_folder_says_that_there_is_nothing_to_ask(tmp_path: Path) -> None:
    done = run("-m", "examples.ask_a_folder", str(tmp_path), "Who?")
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path} holds no text that could be asked.\n"


# Runs the cells of a notebook one after the other, as Jupyter does.
NOTEBOOK = """
import json, sys
shared = {}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), shared)
"""


def test_the_notebook_runs_from_top_to_bottom() -> None:
    done = run("-c", NOTEBOOK, "examples/ask_in_a_notebook.ipynb")
    assert done.stderr == ""
    assert "Tape, Theodolite, Lichen and Gust" in done.stdout
    assert re.search(r"^1 of \d+ windows: ", done.stdout, re.MULTILINE)


@pytest.mark.long
def test_a_corpus_with_ray_outlives_a_worker(tmp_path: Path) -> None:
    """Two workers, one killed on the way: every row is answered all the same."""
    pytest.importorskip("ray")
    (tmp_path / "passages").mkdir()
    rows = [
        {"id": number, "passage": f"Lamp {number} was lit by Mara Quill in 1874. " + prose(150)}
        for number in range(400)
    ]
    for part in range(4):
        lines = [json.dumps(row) for row in rows[part::4]]
        (tmp_path / "passages" / f"{part}.json").write_text("\n".join(lines), encoding="utf-8")
    command = ["examples.corpus_with_ray", tmp_path / "passages", tmp_path / "answers"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", *map(str, command), "--question", "Who lit the lamp?"],
            cwd=ROOT,
            stderr=subprocess.STDOUT,
            stdout=log,
        ) as process,
    ):
        while process.poll() is None and not _kill_a_worker():
            time.sleep(0.5)
        assert process.wait(timeout=600) == 0
    assert b"died or was killed" in (tmp_path / "log").read_bytes()
    pyarrow = pytest.importorskip("pyarrow.dataset")
    table = pyarrow.dataset(tmp_path / "answers").to_table().to_pylist()
    assert sorted(row["id"] for row in table) == list(range(400))
    assert {row["answer"] for row in table} == {"Mara Quill"}


def _kill_a_worker() -> bool:
    """Kill one of Ray's workers that is answering. Linux only."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            title = file.read_bytes()
            if title.startswith(b"ray::") and b"Answerer" in title:
                os.kill(int(file.parent.name), signal.SIGKILL)
                return True
    return False
