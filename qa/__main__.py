"""The command line: python -m qa ask | evaluate | models | fetch | remove | convert.

Prints for people, and with --json one JSON object on standard output. Errors are one line on
standard error. Exit codes: 0 done, 1 it could not be done, 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import catalog
from qa.errors import InputError, QAError

if TYPE_CHECKING:
    from qa.store import Progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Answers hold whatever the passage holds; a console that cannot show a character shows its
        # number instead.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except QAError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away (… | head)
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qa", description="Ask a text a question.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        return sub

    def add_model(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--model",
            default=catalog.DEFAULT,
            metavar="M",
            help="name, alias or folder (%(default)s)",
        )

    ask = add("ask", _ask, "Answer a question from a text.")
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument(
        "--text", required=True, metavar="FILE", help="a UTF-8 text file, or - for standard input"
    )
    ask.add_argument(
        "--top-k", type=int, default=3, metavar="N", help="how many answers (%(default)s)"
    )
    add_model(ask)

    evaluate = add("evaluate", _evaluate, "Measure a model on a SQuAD file.")
    evaluate.add_argument("file", metavar="SQUAD.json", type=Path)
    evaluate.add_argument(
        "--limit", type=int, metavar="N", help="ask N questions, spread evenly over the file"
    )
    evaluate.add_argument(
        "--protocol",
        choices=("squad", "app"),
        default="squad",
        help="as model cards measure, or as the interface answers (%(default)s)",
    )
    evaluate.add_argument(
        "--long", action="store_true", help="ask each question of its whole article"
    )
    evaluate.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep finished questions in FILE, and go on from those it has",
    )
    evaluate.add_argument(
        "--predictions", type=Path, metavar="OUT.json", help="write question id -> answer"
    )
    add_model(evaluate)

    add("models", _models, "List the models: those installed, and those that can be fetched.")

    fetch = add("fetch", _fetch, "Fetch a published model, check it and install it.")
    fetch.add_argument("name", metavar="NAME", help="as `models` lists it")
    fetch.add_argument(
        "--mirror",
        metavar="M",
        help="take the files from this address or folder (else QA_MIRROR, else the publisher)",
    )
    fetch.add_argument(
        "--precision", metavar="P", help="FP16-INT8 or FP32-INT8 (else what the model lists first)"
    )

    remove = add("remove", _remove, "Remove a fetched model.")
    remove.add_argument("name", metavar="NAME", help="as `models` lists it")

    convert = add("convert", _convert, "Convert an OpenVINO BERT model to ONNX.")
    convert.add_argument("xml", metavar="MODEL.xml", type=Path, help="its .bin beside it")
    convert.add_argument("folder", metavar="OUT_DIR", type=Path, help="gets model.onnx")
    return parser


def _ask(options: argparse.Namespace) -> None:
    from qa.reader import Reader  # here and below: `--help` and mistakes need no model runtime

    passage = _read_text(options.text)
    result = Reader.load(options.model).answer(options.question, passage, top_k=options.top_k)
    if options.json:
        _print_json(result.to_dict())
        return
    if result.answers and result.probably_no_answer:
        print("Probably not in this text. The best guess all the same:")
    for rank, answer in enumerate(result.answers, 1):
        place = f"characters {answer.start} to {answer.end}"
        print(f"{rank}. {answer.text}  (score {answer.score:.3f}, {place})")
    if not result.answers:
        print("No answer: the passage has no words this model can read.")
    if result.question_cut:
        print("The question is longer than the model reads; its end was left out.")
    print(
        f"{result.tokens:,} tokens, {result.windows} windows, {result.milliseconds['total']:.0f} ms"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from qa import evaluate, squad
    from qa.reader import Reader

    if options.limit is not None and options.limit < 1:
        raise InputError("--limit must be at least 1.")
    examples = squad.read(options.file)
    if options.long:
        examples = squad.join_articles(examples)
    if options.limit is not None:
        examples = squad.spread(examples, options.limit)
    reader = Reader.load(options.model)
    show, started, found = _progress(len(examples)), time.monotonic(), {}
    for outcome in evaluate.outcomes(reader, examples, options.protocol, options.resume):
        found[outcome.id] = outcome
        show(len(found))
    if options.predictions:
        texts = evaluate.predictions(examples, found)
        _write(options.predictions, json.dumps(texts, ensure_ascii=False))
    report = {
        "model": reader.card.name,
        **evaluate.figures(examples, found),
        "seconds": round(time.monotonic() - started, 3),
        "repeat": {
            "file": options.file.name,
            "file_sha256": _sha256(options.file),
            "model_sha256": _sha256(reader.card.folder / "model.onnx"),
            "protocol": options.protocol,
            "long": options.long,
            "limit": options.limit,
            "versions": {name: version(name) for name in ("numpy", "onnxruntime", "tokenizers")},
        },
    }
    if options.json:
        _print_json(report)
        return
    print(f"{report['model']} on {report['total']:,} questions in {report['seconds']:.0f} s")
    print(f"exact match {report['exact_match']:.2f}, F1 {report['f1']:.2f}")
    for name in ("expected_calibration_error", "right_paragraph", "has_answer", "no_answer"):
        if name in report:
            print(f"{name.replace('_', ' ')}: {_readable(report[name])}")


def _models(options: argparse.Namespace) -> None:
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


def _fetch(options: argparse.Namespace) -> None:
    from qa import store

    with _fetch_progress(options.name) as progress:
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


def _remove(options: argparse.Namespace) -> None:
    from qa import store

    paths = store.remove(options.name)
    if options.json:
        _print_json({"model": paths[0].name, "removed": [str(path) for path in paths]})
    else:
        print(f"{' and '.join(map(str, paths))} is removed")


def _convert(options: argparse.Namespace) -> None:
    from qa.openvino_ir import convert

    if not options.xml.is_file():
        raise InputError(f"{options.xml} cannot be read: there is no such file.")
    try:
        done = convert(options.xml, options.folder)
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


def _read_text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text; save it as UTF-8 and try again.") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise QAError(f"{path} cannot be written: {error.strerror}.") from error


def _print_json(value: object) -> None:
    # ASCII, so that lone surrogates and any console's encoding are no obstacle.
    print(json.dumps(value))


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_readable(v)}" for name, v in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _progress(total: int) -> Callable[[int], None]:
    """Show a count on standard error, where a person is watching."""

    def show(done: int) -> None:
        if sys.stderr.isatty() and (done % 20 == 0 or done == total):
            print(
                f"\r{done:,} of {total:,} questions",
                end="\n" if done == total else "",
                file=sys.stderr,
            )

    return show


@contextmanager
def _fetch_progress(name: str) -> Iterator[Callable[[Progress], None]]:
    """Show on standard error how far a fetch is: as a line that changes where a person is watching,
    elsewhere as a line every ten seconds and at the end of each step."""
    watched, shown_at, width = sys.stderr.isatty(), time.monotonic(), 0

    def show(progress: Progress) -> None:
        nonlocal shown_at, width
        now = time.monotonic()
        changes = progress.step == "fetch" and progress.done < progress.total
        if changes and not watched and now < shown_at + 10:
            return
        shown_at = now
        match progress.step:
            case "wait":
                line = f"Another process is fetching {name}; waiting for it"
            case "convert":
                line = f"Converting {name}"
            case "fetch":
                line = f"{name}: {_amount(progress)}"
        # Spaces cover what is left of the line before.
        start, end = ("\r", "" if changes else "\n") if watched else ("", "\n")
        print(f"{start}{line:<{width}}", end=end, file=sys.stderr, flush=True)
        width = len(line) if changes and watched else 0

    try:
        yield show
    finally:
        if width:  # an error has a line of its own
            print(file=sys.stderr)


def _amount(progress: Progress) -> str:
    text = f"{progress.done / 1e6:,.1f} of {progress.total / 1e6:,.1f} MB"
    if progress.rate:
        text += f", {progress.rate / 1e6:,.1f} MB/s"
    if progress.seconds_left:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        text += f", {minutes}:{seconds:02} left"
    return text


if __name__ == "__main__":
    sys.exit(main())
