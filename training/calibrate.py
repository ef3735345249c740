"""Choose a model's temperature and null bias, and write them into its card.

    python -m training.calibrate MODEL_FOLDER --single PAIRS.json --long ARTICLES.json \\
        --logits FOLDER [--write]

PAIRS.json holds questions beside their unanswerable twins, ARTICLES.json articles whose paragraphs
are joined (`python -m training.sets` makes both, of files in SQuAD's layout). Neither may hold what
the model was trained on, nor what it is reported on.

The model runs once; its logits are kept in --logits, so that rules can be compared without it.
Those of another model or of other questions are refused.
Scores are a softmax over spans' logits divided by the temperature, and no answer is one more
outcome, with the null bias for its logit (qa/spans.py).

A bias that tells as many pairs as possible apart by "no answer is likelier than not" lowers scores
a little too often. So, of the pairs of temperature and bias that are right for nearly as many as
the best bias for that temperature (TOLERANCE), the one with the least calibration error is chosen:
that of top answers to answerable questions, the mean of single paragraphs and joined articles.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa import squad
from qa.calibration import area_under_roc, expected_calibration_error
from qa.reader import LONGEST_ANSWER, Reader
from qa.spans import SpanLogits, WindowLogits
from qa.squad import Example

TEMPERATURES = np.arange(0.6, 2.01, 0.05)
NULL_BIASES = np.arange(-10, 16.1, 0.25)
NULL_SHARES = (0.0, 0.25, 0.5)  # for comparison
TOLERANCE = 0.01  # share of questions


@dataclass(frozen=True)
class Evidence:
    """What rules are chosen by, over n questions: the top span's logit, whether that span is right
    and whether anything is, [n] each; and for every temperature the log of the sum of all spans'
    weights, `mass`, [temperatures, n]."""

    logit: NDArray[np.float64]
    mass: NDArray[np.float64]
    right: NDArray[np.bool_]
    answerable: NDArray[np.bool_]

    def score(self, t: int, bias: float = -np.inf) -> NDArray[np.float64]:
        temperature = TEMPERATURES[t]
        return np.exp(self.logit / temperature - np.logaddexp(self.mass[t], bias / temperature))

    def no_answer(self, t: int, bias: float) -> NDArray[np.float64]:
        scaled = bias / TEMPERATURES[t]
        return np.exp(scaled - np.logaddexp(self.mass[t], scaled))


def evidence(
    reader: Reader, examples: Sequence[Example], file: Path, null_share: float = 1.0
) -> Evidence:
    """Gather evidence, from the logits in the file or, if there is none, from the model, which
    fills it. Spans are relative to this share of their window's null span's logit; the app takes
    all of it.

    Raises ValueError where the file's logits are another model's or of other questions.
    """
    said_by = _fingerprint(reader, examples)
    stored = _run(reader, examples, said_by, file) if not file.exists() else np.load(file)
    if str(stored["fingerprint"]) != said_by:
        raise ValueError(f"{file} is of another model or other questions: name another --logits.")
    windows = _unpack(stored, null_share)
    logit, mass, right = [], [], []
    for example in examples:
        passage = reader.windower.passage(example.passage)
        spans = SpanLogits(passage.begins, passage.closes, LONGEST_ANSWER)
        for _ in range(stored["windows"][len(logit)]):
            spans.add(next(windows))
        logits = spans.band
        first, length = divmod(int(logits.argmax()), LONGEST_ANSWER)
        text = example.passage[passage.starts[first] : passage.ends[first + length]]
        right.append(bool(example.references) and squad.exact_match(text, example.references) > 0)
        best = logits[first, length]
        logit.append(best)
        below = logits[logits > best - 40] - best  # what is further below weighs nothing
        mass.append([best / t + np.log(np.exp(below / t).sum()) for t in TEMPERATURES])
    answerable = np.array([bool(example.references) for example in examples])
    return Evidence(np.array(logit), np.array(mass).T, np.array(right), answerable)


def _fingerprint(reader: Reader, examples: Sequence[Example]) -> str:
    """Tell a model and what it is asked from all others."""
    digest = hashlib.sha256((reader.card.folder / "model.onnx").read_bytes())
    for example in examples:
        digest.update(json.dumps([example.question, example.passage]).encode())
    return digest.hexdigest()


def _run(
    reader: Reader, examples: Sequence[Example], fingerprint: str, file: Path
) -> dict[str, np.ndarray]:
    """Run the model over all examples and keep what it said."""
    read = [
        list(
            reader.logits(
                reader.windower.question(example.question)[0],
                reader.windower.passage(example.passage),
            )
        )
        for example in examples
    ]
    windows = [window for found in read for window in found]
    stored = {
        "fingerprint": np.array(fingerprint),
        "windows": np.array([len(found) for found in read]),
        "frames": np.array([(w.first, w.count, w.offset, len(w.start)) for w in windows]),
        "start": np.concatenate([window.start for window in windows]),
        "end": np.concatenate([window.end for window in windows]),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **stored)
    return stored


def _unpack(stored: Mapping[str, np.ndarray], null_share: float) -> Iterator[WindowLogits]:
    start, end = stored["start"].copy(), stored["end"].copy()
    nulls = np.cumsum(stored["frames"][:, 3]) - stored["frames"][:, 3]  # where windows begin
    start[nulls] *= null_share
    end[nulls] *= null_share
    position = 0
    for first, count, offset, length in stored["frames"].tolist():
        values = slice(position, position + length)
        yield WindowLogits(first, count, offset, start[values], end[values])
        position += length


def calibration_error(found: Evidence, t: int, bias: float = -np.inf) -> float:
    """Expected calibration error of the top answer, over the questions that have one."""
    return expected_calibration_error(
        found.score(t, bias)[found.answerable], found.right[found.answerable]
    )


def no_answer_accuracy(found: Evidence, t: int, bias: float) -> float:
    """Share of questions for which "no answer is likelier than not" says whether they have one."""
    return float(((found.no_answer(t, bias) > 0.5) == ~found.answerable).mean())


def choose(single: Evidence, long: Evidence) -> tuple[int, float]:
    """Return the number of the temperature and the null bias, by the docstring's rule."""
    choices = []
    for t in range(len(TEMPERATURES)):
        accuracy = [no_answer_accuracy(single, t, bias) for bias in NULL_BIASES]
        choices += [
            (calibration_error(single, t, bias) + calibration_error(long, t, bias), t, float(bias))
            for bias, share in zip(NULL_BIASES, accuracy, strict=True)
            if share >= max(accuracy) - TOLERANCE
        ]
    _, t, bias = min(choices)
    return t, bias


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.calibrate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--single", type=Path, required=True)
    parser.add_argument("--long", type=Path, required=True)
    parser.add_argument("--long-limit", type=int, default=500)
    parser.add_argument("--logits", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="into the model's card")
    options = parser.parse_args()

    reader = Reader.load(options.model)
    single = evidence(reader, squad.read(options.single), options.logits / "single.npz")
    joined = squad.spread(squad.join_articles(squad.read(options.long)), options.long_limit)
    long_logits = options.logits / "long.npz"
    long = evidence(reader, joined, long_logits)
    t, bias = choose(single, long)
    chosen = {"temperature": round(float(TEMPERATURES[t]), 2), "null_bias": bias}
    one = int(np.abs(TEMPERATURES - 1).argmin())
    report = chosen | {
        "ece_single_before": calibration_error(single, one),
        "ece_single": calibration_error(single, t, bias),
        "ece_long_before": calibration_error(long, one),
        "ece_long": calibration_error(long, t, bias),
        "exact_match_single": single.right[single.answerable].mean(),
        "exact_match_long": long.right.mean(),
        **{
            f"exact_match_long_with_null_share_{share}": evidence(
                reader, joined, long_logits, share
            ).right.mean()
            for share in NULL_SHARES
        },
        "area_under_roc": area_under_roc(single.no_answer(t, bias), ~single.answerable),
        "no_answer_accuracy": no_answer_accuracy(single, t, bias),
    }
    print(json.dumps({name: round(float(value), 4) for name, value in report.items()}, indent=1))
    if options.write:
        card_file = options.model / "model.json"
        card = json.loads(card_file.read_text(encoding="utf-8")) | chosen
        card_file.write_text(
            json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
