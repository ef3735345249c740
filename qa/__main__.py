"""The command line: python -m qa ask | evaluate | bench | models | fetch | remove | convert.

What the commands do is in `commands`.

Prints for people, and with --json one JSON object on standard output. Errors are one line on
standard error. Exit codes: 0 done, 1 it could not be done, 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from qa import catalog, commands, engines
from qa.errors import InputError, OutOfMemoryError, QAError
from qa.terminal import Parser


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
        sys.stdout.flush()  # what is wrong with it shall show here, not at exit
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except QAError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is not None:  # it is not of our output
            print(f"{error.filename} cannot be used: {error.strerror}.", file=sys.stderr)
            return 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        if not isinstance(error, BrokenPipeError):  # whose reader went away (… | head)
            print(f"What was found could not be written: {error.strerror}.", file=sys.stderr)
        return 1
    except MemoryError:
        print(OutOfMemoryError(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m qa", description="Ask a text a question.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text)
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
        sub.add_argument(
            "--engine",
            metavar="E",
            help=engines.HELP,
        )

    ask = add("ask", commands.ask, "Answer a question from a text.")
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument(
        "--text",
        required=True,
        metavar="FILE",
        help="a text, Markdown, HTML, PDF or DOCX file, or - for text on standard input",
    )
    ask.add_argument(
        "--top-k", type=int, default=3, metavar="N", help="how many answers (%(default)s)"
    )
    add_model(ask)

    evaluate = add("evaluate", commands.evaluate, "Measure a model on a SQuAD file.")
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

    bench = add("bench", commands.bench, "Measure how fast a model is on this machine.")
    add_model(bench)

    add(
        "models",
        commands.models,
        "List the models: installed, and to be fetched.",
    )

    fetch = add("fetch", commands.fetch, "Fetch a published model, check it and install it.")
    fetch.add_argument("name", metavar="NAME", help="as `models` lists it")
    fetch.add_argument(
        "--mirror",
        metavar="M",
        help="take the files from this address or folder (else QA_MIRROR, else the publisher)",
    )
    fetch.add_argument(
        "--precision", metavar="P", help="FP16-INT8 or FP32-INT8 (else what the model lists first)"
    )

    remove = add("remove", commands.remove, "Remove a fetched model.")
    remove.add_argument("name", metavar="NAME", help="as `models` lists it")

    convert = add("convert", commands.convert, "Convert an OpenVINO BERT model to ONNX.")
    convert.add_argument(
        "xml", metavar="MODEL.xml", type=Path, help="its .bin and vocab.txt beside it"
    )
    convert.add_argument(
        "folder", metavar="OUT_DIR", type=Path, help="gets model.onnx and tokenizer.json"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
