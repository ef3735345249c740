"""What the commands of `python -m qa` do with their options. The options are in `__main__`.

What only one command needs is imported there: `ask` is to answer in half a second.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qa import catalog, terminal
from qa.errors import InputError, QAError
from qa.reader import Reader

if TYPE_CHECKING:
    import argparse

    from qa.documents import Document


def ask(options: argparse.Namespace) -> None:
    document = _read_document(options.text)
    reader = Reader.load(options.model, engine=options.engine)
    result = reader.answer(options.question, document.text, options.top_k)
    pages = [document.page_at(answer.start) for answer in result.answers]
    if options.json:
        report = result.to_dict()
        for entry, page in zip(report["answers"], pages, strict=True):
            entry |= {} if page is None else {"page": page}
        _print_json(report)
        return
    if result.answers and result.probably_no_answer:
        print("Probably not in this text. The best guess all the same:")
    for rank, (answer, page) in enumerate(zip(result.answers, pages, strict=True), 1):
        place = f"characters {answer.start} to {answer.end}"
        place = f"page {page}, {place}" if page else place
        print(f"{rank}. {answer.text}  (score {answer.score:.3f}, {place})")
    if not result.answers:
        print("No answer: the passage has no words this model can read.")
    if result.question_cut:
        print("The question is longer than the model reads; its end was left out.")
    windows = "1 window" if result.windows == 1 else f"{result.windows:,} windows"
    print(f"{result.tokens:,} tokens, {windows}, {result.milliseconds['total']:.0f} ms")


def evaluate(options: argparse.Namespace) -> None:
    from qa import evaluate as evaluation
    from qa import squad

    if options.limit is not None and options.limit < 1:
        raise InputError("--limit must be at least 1.")
    examples = squad.read(options.file)
    if options.long:
        examples = squad.join_articles(examples)
    if options.limit is not None:
        examples = squad.spread(examples, options.limit)
    reader = Reader.load(options.model, engine=options.engine)
    conditions = _conditions(reader, options)
    if options.predictions:
        _write(options.predictions, "", mode="a")  # hours may lie between this and the last answer
    show, started, found = terminal.count_questions(len(examples)), time.monotonic(), {}
    for outcome in evaluation.outcomes(
        reader, examples, options.protocol, options.resume, conditions
    ):
        found[outcome.id] = outcome
        show(len(found))
    if options.predictions:
        texts = evaluation.predictions(examples, found)
        _write(options.predictions, json.dumps(texts))
    report = {
        "model": reader.card.name,
        **evaluation.figures(examples, found),
        "seconds": round(time.monotonic() - started, 3),
        "repeat": {"file": options.file.name, **conditions, "limit": options.limit},
    }
    if options.json:
        _print_json(report)
        return
    print(f"{report['model']} on {report['total']:,} questions in {report['seconds']:.0f} s")
    print(f"exact match {report['exact_match']:.2f}, F1 {report['f1']:.2f}")
    for name in ("expected_calibration_error", "right_paragraph", "has_answer", "no_answer"):
        if name in report:
            print(f"{name.replace('_', ' ')}: {_readable(report[name])}")


def _conditions(reader: Reader, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the outcome of a question depends on."""
    return {
        "file_sha256": _sha256(options.file),
        "model_sha256": _sha256(
            *sorted(reader.card.folder.glob("model.onnx*")), reader.card.folder / "tokenizer.json"
        ),
        "frame": asdict(reader.windower.frame),
        "temperature": reader.card.temperature,
        "null_bias": reader.card.null_bias,
        "engine": reader.engine,
        "protocol": options.protocol,
        "long": options.long,
        "versions": {name: version(name) for name in ("numpy", "onnxruntime", "tokenizers")},
    }


def bench(options: argparse.Namespace) -> None:
    from qa import processors, speed

    reader = Reader.load(options.model, engine=options.engine)
    if not options.json:
        print(
            f"{reader.card.name} on {processors.usable()} processors, engine {reader.engine}, "
            "one window at a time"
        )
    measured = []
    for found in speed.measure(reader):
        measured.append(found)
        if not options.json:
            print(
                f"{found.tokens} tokens: {found.milliseconds:.1f} ms, "
                f"{found.per_second:.1f} a second, {found.tokens_per_second:,.0f} tokens a second"
            )
    if options.json:
        lengths = [
            {
                "tokens": found.tokens,
                "milliseconds": found.milliseconds,
                "per_second": found.per_second,
                "tokens_per_second": found.tokens_per_second,
            }
            for found in measured
        ]
        _print_json(
            {
                "model": reader.card.name,
                "engine": reader.engine,
                "threads": processors.usable(),
                "lengths": lengths,
            }
        )


def models(options: argparse.Namespace) -> None:
    cards = [*catalog.models(), *catalog.not_installed()]
    if options.json:
        _print_json({"models": [card.to_dict() for card in cards]})
        return
    for card in cards:
        names = " or ".join((card.name, *card.aliases))
        accuracy = (
            f"EM {card.exact_match:.1f}, F1 {card.f1:.1f}"
            if card.exact_match and card.f1
            else "accuracy unknown"
        )
        source = f" on {card.measured_on}" if card.measured_on else ""
        default = ", the default" if card.name == catalog.DEFAULT else ""
        fetch = "" if card.installed else f"; not installed (python -m qa fetch {card.name})"
        print(f"{names}  {card.size / 1e6:.0f} MB, {accuracy}{source}{default}{fetch}")


def fetch(options: argparse.Namespace) -> None:
    from qa import store

    with terminal.fetch_progress(options.name) as progress:
        card = store.fetch(
            options.name,
            mirror=options.mirror,
            precision=options.precision,
            progress=progress,
        )
    if options.json:
        _print_json({"model": card.name, "path": str(card.folder)})
    else:
        print(f"{card.name} is installed in {card.folder} ({card.size / 1e6:.0f} MB)")


def remove(options: argparse.Namespace) -> None:
    from qa import store

    paths = store.remove(options.name)
    if options.json:
        _print_json({"model": paths[0].name, "removed": [str(path) for path in paths]})
    else:
        print(f"{' and '.join(map(str, paths))} is removed")


def convert(options: argparse.Namespace) -> None:
    from qa import openvino_ir

    try:
        if not options.xml.is_file():
            raise InputError(f"{options.xml} cannot be read: there is no such file.")
        done = openvino_ir.convert(options.xml, options.folder)
    except OSError as error:
        raise QAError(f"{options.xml} cannot be read: {error.strerror}.") from error
    if options.json:
        _print_json(
            {
                "path": str(done.path),
                "inputs": list(done.inputs),
                "outputs": list(done.outputs),
                "seconds": done.seconds,
            }
        )
    else:
        print(f"{done.path} is made in {done.seconds:.1f} s")
        print(f"inputs {', '.join(done.inputs)}; outputs {', '.join(done.outputs)}")
    if not done.path.with_name("tokenizer.json").is_file():
        print(
            f"It cannot be asked yet: put its vocab.txt beside {options.xml} and convert again.",
            file=sys.stderr,
        )


def _read_document(name: str) -> Document:
    from qa import documents

    if name != "-":
        return documents.read(Path(name))
    most = documents.LIMITS.bytes
    data = sys.stdin.buffer.read(most + 1)
    if len(data) > most:
        raise InputError(
            f"What stands on standard input has more than {most / 1e6:,.0f} MB; ask about a part "
            "of it."
        )
    try:
        return documents.Document(documents.decode(data))
    except UnicodeError as error:
        raise InputError("What stands on standard input is no text; name a file.") from error


def _write(path: Path, text: str, mode: Literal["a", "w"] = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise QAError(f"{path} cannot be written: {error.strerror}.") from error


def _print_json(value: object) -> None:
    # ASCII, so that lone surrogates and any console's encoding are no obstacle.
    print(json.dumps(value))


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_readable(v)}" for name, v in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _sha256(*files: Path) -> str:
    """Return the hash of these files, one behind the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as data:
            while piece := data.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
