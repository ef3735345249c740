"""Random and mutated input: nothing crashes, nothing hangs, no law is broken.

FUZZ_SHARE scales the full sizes, which are marked long; FUZZ_SEED begins elsewhere.
"""

import io
import json
import os
import random
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qa import InputError, QAError, Reader, documents, openvino_ir
from qa.reader import Model, Result
from tests import document_files, tiny_ir
from tests.fakes import RandomModel
from tests.reliability.host import API, Host
from tests.texts import TRICKY, prose

SEED = int(os.environ.get("FUZZ_SEED", "1"))
PROSE = prose(300)
PIECES = [
    *TRICKY,
    *prose(60).split(),
    "?",
    "\n\n",
    "\t",
    "\u0301",
    "\U0001f469\u200d",
    "\ud83d",
    "0",
]


def sizes(full: int, short: int) -> pytest.MarkDecorator:
    """Run a test at its short size and, marked long, at its full one."""
    share = float(os.environ.get("FUZZ_SHARE", "1"))
    return pytest.mark.parametrize(
        "size", [short, pytest.param(int(full * share), marks=pytest.mark.long)]
    )


def text(chance: random.Random, most: int) -> str:
    """Return a text of up to so many pieces, tricky ones and random characters among them."""
    pieces = [
        chance.choice(PIECES)
        if chance.random() < 0.8
        else "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randrange(1, 6)))
        for _ in range(chance.randrange(most + 1))
    ]
    whole = chance.choice(["", " ", " ", "\n"]).join(pieces)
    for _ in range(chance.choice([0, 0, 1, 3])):
        place = chance.randrange(len(whole) + 1)
        whole = whole[:place] + chr(chance.randrange(0x300)) + whole[place + chance.randrange(4) :]
    return whole


def check_laws(result: Result, passage: str, top_k: int) -> None:
    assert len(result.answers) <= top_k
    scores = [answer.score for answer in result.answers]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert sum(scores) + (result.no_answer or 0) <= 1 + 1e-6
    assert result.read == result.windows
    taken: set[int] = set()
    for answer in result.answers:
        assert passage[answer.start : answer.end] == answer.text != ""
        places = set(range(answer.start, answer.end))
        assert not taken & places
        taken |= places


def ask_at_random(reader: Reader, size: int, longest: int) -> None:
    chance = random.Random(SEED)
    answered = 0
    for _ in range(size):
        question, passage = text(chance, 12), text(chance, chance.choice([3, 30, longest]))
        top_k = chance.choice([1, 3, 10, 100])
        result, refusal, begun = None, "", time.monotonic()
        try:
            result = reader.answer(question, passage, top_k)
        except InputError as error:
            refusal = str(error)
        assert time.monotonic() - begun < 60
        if result is None:
            assert not question.strip() or not passage.strip() or "no readable" in refusal
        else:
            check_laws(result, passage, top_k)
            answered += 1
    assert answered > size / 2


@sizes(full=100_000, short=400)
def test_reader_with_random_logits(reader_of: Callable[[Model], Reader], size: int) -> None:
    ask_at_random(reader_of(RandomModel()), size, 300)


@sizes(full=2_000, short=40)
def test_reader(reader: Reader, size: int) -> None:
    ask_at_random(reader, size, 200)


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return data with a few bytes changed, left out, doubled or cut off."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 2, 8, 64])):
        place = chance.randrange(len(changed) or 1)
        match chance.randrange(6):
            case 0 | 1:
                changed[place : place + 1] = bytes([chance.randrange(256)])
            case 2:
                del changed[place : place + chance.choice([1, 4, 100])]
            case 3:
                changed[place:place] = changed[place : place + chance.choice([1, 16, 500])]
            case 4:
                digits = str(chance.choice([-1, 0, 7, 2**31, 2**63, 10**30])).encode()
                changed[place : place + len(digits)] = digits
            case _:
                if chance.random() < 0.1:
                    del changed[place:]
    return bytes(changed)


@sizes(full=10_000, short=150)
def test_converter(tmp_path: Path, size: int) -> None:
    chance = random.Random(SEED)
    text, weights = tiny_ir.files(np.float16)
    xml, failed = text.encode(), 0
    for _ in range(size):
        folder = tmp_path / "ir"
        folder.mkdir(exist_ok=True)
        which = chance.randrange(3)
        (folder / "model.xml").write_bytes(mutated(chance, xml) if which != 1 else xml)
        (folder / "model.bin").write_bytes(mutated(chance, weights) if which != 0 else weights)
        refusal, begun = "", time.monotonic()
        try:
            openvino_ir.convert(folder / "model.xml", tmp_path / "out")
        except QAError as error:
            refusal = str(error)
        assert time.monotonic() - begun < 60
        assert not refusal or 10 < len(refusal) < 1000
        failed += bool(refusal)
    assert failed > size / 10


def repacked(chance: random.Random, data: bytes) -> bytes:
    """Return a DOCX one of whose parts is mutated, packed as a sound archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as new:
        names = archive.namelist()
        victim = chance.choice(names)
        for name in names:
            part = archive.read(name)
            new.writestr(name, mutated(chance, part) if name == victim else part)
    return out.getvalue()


@sizes(full=2_000, short=24)
def test_documents(tmp_path: Path, size: int) -> None:
    chance = random.Random(SEED)
    lines = [PROSE[start : start + 70] for start in range(0, len(PROSE), 70)]
    body = "".join(map(document_files.paragraph, lines))
    notes = {"word/footnotes.xml": document_files.notes("footnotes", body)}
    word = document_files.docx(tmp_path / "sound.docx", body, notes)
    samples = {
        "pdf": document_files.pdf([lines[:20], lines[20:]]),
        "docx": word.read_bytes(),
        "html": f"<p>{PROSE} <b>bold</b> &amp; <script>more</script><table><td>A".encode(),
    }
    read = 0
    for number in range(size):
        kind = chance.choice(["pdf", "docx", "docx", "html"])
        data = samples[kind]
        changed = mutated(chance, data) if chance.random() < 0.6 or kind != "docx" else None
        file = tmp_path / f"{number}.{kind}"
        file.write_bytes(changed if changed is not None else repacked(chance, data))
        document, refusal, begun = None, "", time.monotonic()
        try:
            document = documents.read(file)
        except InputError as error:
            refusal = str(error)
        assert time.monotonic() - begun < documents.SECONDS + 10
        if document is None:
            assert file.name in refusal
        else:
            read += 1
            assert list(document.pages) == sorted(document.pages)
            assert all(0 <= page <= len(document.text) for page in document.pages)
        file.unlink()
    assert read > 0


def value(chance: random.Random, depth: int = 0) -> Any:
    """Return any value that JSON can carry, what Gradio gives a meaning to among them."""
    match chance.randrange(10 if depth < 4 else 6):
        case 0:
            return chance.choice([None, True, False])
        case 1:
            return chance.choice([0, 1, -1, 3, 2**31, -(2**63), 10**40])
        case 2:
            return chance.choice([0.5, -0.0, 1e308, float("nan"), float("inf")])
        case 3 | 4:
            return text(chance, 6)
        case 5:
            return chance.choice(["", "/etc/hostname", "../app.py", "http://trap.example/", "#q=x"])
        case 6 | 7:
            return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
        case 8:
            return {text(chance, 2): value(chance, depth + 1) for _ in range(chance.randrange(3))}
        case _:
            file = {"path": value(chance, 9), "meta": {"_type": "gradio.FileData"}}
            return file | {chance.choice(["url", "orig_name", "size", "is_stream"]): value(chance)}


@sizes(full=3_000, short=30)
def test_calls(host: Host, spoken_to: Path, size: int) -> None:
    """Every endpoint and every event of the pages, with values of any kind: answered or refused in
    a sentence, and the app goes on."""
    chance = random.Random(SEED)
    named = sorted(json.loads(host.get(f"{API}/info")[1])["named_endpoints"])
    events = [event for event in host.config()["dependencies"] if event["backend_fn"]]
    answered = 0
    for _ in range(size):
        if chance.random() < 0.4:
            data = [value(chance) for _ in range(chance.randrange(6))]
            outcome, told = host.call(chance.choice(named).removeprefix("/"), *data)
            sentence = told["error"] if outcome == "error" else None
        else:
            event = chance.choice(events)
            data = [value(chance) for _ in event["inputs"]]
            done = host.event(event["id"], *data)
            sentence = None if done["success"] else json.dumps(done["output"])
        answered += sentence is None
        assert sentence is None or 'File "' not in sentence, data
    assert answered > size / 20
    assert host.get("/health")[0] == 200
    assert host.answer("Who lit the lamp?", "The keeper lit the lamp.")["answers"]
    assert not re.search("Traceback|root:", host.wrote())
    assert "trap.example" not in spoken_to.read_text(encoding="utf-8")
