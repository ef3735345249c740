"""This project and its peers side by side, in one run.

    pip install -r benchmarks/requirements.txt -r requirements-dev.txt
    python -m benchmarks.peers --squad dev-v1.1.json [--rounds 5] [--ir MODEL.xml] [--write]

Every contender (benchmarks/contenders.py) lives in a process of its own and only one runs at a
time; they take turns, so that a busy neighbour on the machine slows all of them alike. Times of
windows are medians over all rounds; every question is asked once, in one of the rounds, and the
long text is read once. The ratios are what to read. Peers are given token ids and timed for their
model alone; Verbatim is timed for the whole answer wherever there is a text. --write keeps the
figures in benchmarks/peers.json, its table in benchmarks/README.md and its plot beside them;
without it, ratios to the kept figures are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import entries

HERE = Path(__file__).resolve().parent
LENGTHS = (64, 128, 256, 384)
QUESTIONS = 200
WORDS = 100_000
TEXT_SECONDS = 20  # how long a peer reads the long text for its rate
BASELINE = "openvino-demo-f32"
PACKAGES = ("onnxruntime", "openvino", "torch", "transformers", "onnxifier", "numpy")

Figures = dict[str, float]


class Worker:
    """A contender's process."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(folder)],
            cwd=HERE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, job: dict[str, Any]) -> Figures:
        """Have it do a job, and wait until it has. Raises RuntimeError where it cannot."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):  # it says nothing either, below
            print(json.dumps(job), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} has ended: {job['do']} was too much for it")
        reply: Figures = json.loads(line)
        return reply

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--squad", type=Path, required=True, help="where the questions are from")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contenders")
    parser.add_argument(
        "--ir",
        type=Path,
        metavar="MODEL.xml",
        help="the published topology of bert-small; without it one of its shape, fixed in length",
    )
    parser.add_argument("--onnxifier", action="store_true", help="with its graph: minutes to make")
    parser.add_argument("--write", action="store_true", help="keep the figures")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("--write keeps the figures of all contenders: leave out --only")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options.ir, onnxifier=options.onnxifier)
        titles = {key: entry.title for key, entry in entries(folder).items()}
        names = options.only or list(titles)
        found = measure(names, folder, options.squad, options.rounds, options.questions)
        report = {
            "machine": machine(),
            "rounds": options.rounds,
            "questions": options.questions,
            "contenders": {
                key: {
                    "title": titles[key],
                    "f1": entries(folder)[key].f1,
                    "f1_from": entries(folder)[key].f1_from,
                    **figures,
                }
                for key, figures in found.items()
            },
        }
    print(table(report["contenders"]))
    if options.write:
        keep(report)
    elif (HERE / "peers.json").exists():
        kept = json.loads((HERE / "peers.json").read_text("utf-8"))["contenders"]
        for line in regressions(report["contenders"], kept):
            print(line)


def prepare(folder: Path, topology: Path | None, *, onnxifier: bool) -> None:
    """Make the IR that both runtimes run: bert-small with random weights."""
    from qa.openvino_ir import convert
    from tests.ir_factory import Form, bert, random_weights

    form = Form(
        layers=12,
        width=512,
        inner=(512, 512, 512),
        heads=8,
        vocabulary=30522,
        positions=512,
        sequence=384,
    )
    xml = random_weights(topology, folder / "small") if topology else bert(folder / "small", form)
    for file in (xml, xml.with_suffix(".bin")):
        file.rename(folder / "small" / f"model{file.suffix}")
    convert(folder / "small" / "model.xml", folder / "converted")
    bundled = HERE.parent / "models" / "minilm-l6-squad-int8" / "tokenizer.json"
    (folder / "converted" / "tokenizer.json").write_bytes(bundled.read_bytes())
    if onnxifier:
        onnxify = Path(sys.executable).with_name("onnxify")
        command = [onnxify, folder / "small" / "model.xml", folder / "onnxifier.onnx"]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def workers(names: Sequence[str], folder: Path) -> Iterator[dict[str, Worker]]:
    """Start the contenders, one after the other. Those that cannot start are left out, and said."""
    with ExitStack() as stack:
        started = {}
        for name in names:
            worker = Worker(name, folder)
            stack.callback(worker.close)
            try:
                for length in LENGTHS:  # warms it up as well
                    worker.ask({"do": "window", "tokens": length})
            except RuntimeError as error:
                print(f"{error}; it is left out", file=sys.stderr)
            else:
                started[name] = worker
        yield started


def measure(
    names: Sequence[str], folder: Path, squad_file: Path, rounds: int, questions: int
) -> dict[str, Figures]:
    """Return every contender's figures."""
    asked, book = _jobs(squad_file, questions)
    order = random.Random(0)
    times: dict[str, dict[str, list[float]]] = {}
    figures: dict[str, Figures] = {}
    with workers(names, folder) as contenders:
        times = {name: {} for name in contenders}

        def everyone(key: str, job: dict[str, Any], *, figure: str = "milliseconds") -> None:
            for name in order.sample(list(contenders), len(contenders)):
                reply = contenders[name].ask(job)
                value = reply["milliseconds"] if figure == "milliseconds" else _rate(reply)
                times[name].setdefault(key, []).append(value)

        for number in range(rounds):
            for length in LENGTHS:
                for _ in range(5):
                    everyone(str(length), {"do": "window", "tokens": length})
            for job in asked[number::rounds]:
                everyone("question", job)
        everyone("text", book, figure="tokens_per_second")
        for name, contender in contenders.items():
            facts, own = contender.ask({"do": "load"}), times[name]
            figures[name] = {
                **{f"ms_{length}": statistics.median(own[str(length)]) for length in LENGTHS},
                "question_p50": statistics.median(own["question"]),
                "question_p95": float(np.percentile(own["question"], 95)),
                "questions_per_second": 1000 * len(own["question"]) / sum(own["question"]),
                "tokens_per_second": own["text"][0],
                "load_seconds": facts["load"],
                "peak_megabytes": facts["peak_megabytes"],
                "disk_megabytes": facts["disk_megabytes"],
            }
    return {n: {k: round(v, 3) for k, v in f.items()} for n, f in figures.items()}


def _rate(reply: Figures) -> float:
    return 1000 * reply["tokens"] / reply["milliseconds"]


def _jobs(squad_file: Path, questions: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the questions, and one about a text of WORDS words joined from the file's."""
    from qa import Reader, squad

    reader = Reader.load()

    def job(do: str, question: str, passage: str) -> dict[str, Any]:
        ids, _ = reader.windower.question(question)
        tokens, advance = reader.windower.passage(passage), reader.advance(ids)
        windows = [w.input_ids.tolist() for w in reader.windower.windows(ids, tokens, advance)]
        told = {"do": do, "question": question, "passage": passage, "ids": windows}
        return told | {"advance": advance, "seconds": TEXT_SECONDS}

    examples = squad.read(squad_file)
    paragraphs = list(dict.fromkeys(example.passage for example in examples))
    words = " ".join(paragraphs).split()
    text = " ".join((words * (WORDS // len(words) + 1))[:WORDS])
    asked = [job("question", e.question, e.passage) for e in squad.spread(examples, questions)]
    return asked, job("text", examples[0].question, text)


def machine() -> dict[str, Any]:
    """Describe what this was measured on."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    flags = re.search(r"flags\s*:\s*(.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    wanted = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16")
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": [flag for flag in wanted if flags and flag in flags[1].split()],
        "python": platform.python_version(),
        "versions": versions,
    }


def table(contenders: dict[str, dict[str, Any]]) -> str:
    """Draw the figures as Markdown tables."""
    base = contenders.get(BASELINE, {}).get("question_p50")
    lengths = " | ".join(f"{n} tokens" for n in LENGTHS)
    speed = [
        f"| | {lengths} | a question, p50 | p95 | questions/s | text, tokens/s | to demo |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    size = [
        "| | F1 | from | load, s | peak memory, MB | on disk, MB |",
        "|---|---|---|---|---|---|",
    ]
    for own in contenders.values():
        cells = [f"{own[f'ms_{n}']:.1f}" for n in LENGTHS]
        cells += [f"{own['question_p50']:.1f}", f"{own['question_p95']:.1f}"]
        cells += [f"{own['questions_per_second']:.1f}", f"{own['tokens_per_second']:,.0f}"]
        cells += [f"{base / own['question_p50']:.2f}x" if base else ""]
        speed.append(f"| {own['title']} | {' | '.join(cells)} |")
        cells = [str(own["f1"] or "–"), own["f1_from"], f"{own['load_seconds']:.2f}"]
        cells.append(f"{own['peak_megabytes']:.0f}")
        cells.append(f"{own['disk_megabytes']:.0f}" if own["disk_megabytes"] else "–")
        size.append(f"| {own['title']} | {' | '.join(cells)} |")
    return "\n".join([*speed, "", *size])


def regressions(now: dict[str, Any], kept: dict[str, Any]) -> Iterator[str]:
    """Say how each contender stands to the baseline now and in the kept figures."""
    for name in sorted(now.keys() & kept.keys() - {BASELINE}):
        for key in (*(f"ms_{n}" for n in LENGTHS), "question_p50"):
            if BASELINE in now and BASELINE in kept:
                ratio = now[name][key] / now[BASELINE][key]
                before = kept[name][key] / kept[BASELINE][key]
                yield f"{name} {key}: {ratio / before:.2f} times its kept ratio to {BASELINE}"


def keep(report: dict[str, Any]) -> None:
    """Write the figures, their table and their plot."""
    (HERE / "peers.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    readme = HERE / "README.md"
    text = readme.read_text("utf-8")
    begin, end = "<!-- peers: begin -->\n", "<!-- peers: end -->"
    before, after = text.split(begin)[0], text.split(end)[1]
    about = report["machine"]
    told = (
        f"{about['processor']}, {about['cores']} cores ({', '.join(about['instructions'])}), "
        f"Python {about['python']}, "
        f"{', '.join(f'{name} {number}' for name, number in about['versions'].items())}; "
        f"milliseconds; windows: medians of {report['rounds']} interleaved rounds, "
        f"questions: each of {report['questions']} once.\n\n"
    )
    readme.write_text(
        before + begin + told + table(report["contenders"]) + "\n" + end + after, "utf-8"
    )
    plot(report["contenders"])


def plot(contenders: dict[str, dict[str, Any]]) -> None:
    """Draw milliseconds against tokens."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for name, own in contenders.items():
        ours = name.startswith("verbatim")
        times = [own[f"ms_{n}"] for n in LENGTHS]
        axes.plot(
            LENGTHS, times, marker="o", lw=2.5 if ours else 1, label=own["title"].replace("**", "")
        )
    axes.set(xlabel="tokens", ylabel="milliseconds", yscale="log", xticks=LENGTHS)
    axes.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(HERE / "peers.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
