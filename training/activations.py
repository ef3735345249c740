"""What goes on inside a model when it reads: the activations that INT8 scales are chosen from, and
how far the rounded model's logits are from FP32.

Windows come from SQuAD-layout files, through the app's own tokenizer. Nothing is rounded here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qa import squad
from qa.windows import Window, Windower

Floats = NDArray[np.float32]

# Rows of each activation kept of each calibration window, for percentiles.
KEPT_ROWS = 16


@dataclass(frozen=True)
class Activation:
    """What was seen of a tensor [rows, width]: extremes of each component, and some rows."""

    low: Floats
    high: Floats
    rows: Floats

    def factors(self, limit: float) -> Floats:
        """What to divide components by so that none exceeds `limit` times the median one."""
        size = np.maximum(-self.low, self.high)
        return np.maximum(1, size / (limit * np.median(size))).astype(np.float32)

    def grid(self, factors: Floats, percentile: float) -> tuple[np.float32, np.uint8]:
        """Scale and zero point of uint8 values that cover the divided activation."""
        if percentile < 100:
            divided = self.rows / factors
            low, high = np.percentile(divided, (100 - percentile, percentile))
        else:
            low, high = (self.low / factors).min(), (self.high / factors).max()
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32((high - low) / 255)
        return scale, np.uint8(round(-low / scale))


def windows(files: list[Path], windower: Windower, count: int) -> Iterator[Window]:
    """The first window of `count` questions drawn from SQuAD-layout files, always the same ones."""
    examples = [example for file in files for example in squad.read(file)]
    order = np.random.default_rng(0).permutation(len(examples))
    for index in order[:count]:
        question, _ = windower.question(examples[index].question)
        passage = windower.passage(examples[index].passage)
        yield from islice(windower.windows(question, passage, windower.capacity(question)), 1)


def feeds(window: Window, model: onnx.ModelProto) -> dict[str, NDArray[np.int64]]:
    """A batch of one window, by input name."""
    roles = {
        "input_ids": window.input_ids,
        "attention_mask": np.ones_like(window.input_ids),
        "token_type_ids": window.token_type_ids,
    }
    return {value.name: roles[value.name][None] for value in model.graph.input}


def calibrate(
    model: onnx.ModelProto, names: list[str], shown: Iterator[Window]
) -> dict[str, Activation]:
    """Run the FP32 model and watch the named tensors."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = ort.InferenceSession(watched.SerializeToString(), session_options())
    draw = np.random.default_rng(0)
    seen: dict[str, list[tuple[Floats, Floats, Floats]]] = {name: [] for name in names}
    for window in shown:
        for name, value in zip(names, session.run(names, feeds(window, model)), strict=True):
            kept = value[draw.choice(len(value), KEPT_ROWS)]
            seen[name].append((value.min(0), value.max(0), kept))
    activations = {}
    for name, parts in seen.items():
        lows, highs, rows = zip(*parts, strict=True)
        activations[name] = Activation(np.min(lows, 0), np.max(highs, 0), np.concatenate(rows))
    return activations


def divergence(reference: Path, path: Path, shown: Iterator[Window]) -> tuple[float, float]:
    """How far a model's logits are from the reference's: the mean Kullback-Leibler divergence of
    start and end distributions over the passage, in nats a window, and its standard error. A finer
    measure than F1, to choose by."""
    model = onnx.load(reference, load_external_data=False)
    sessions = [ort.InferenceSession(p, session_options()) for p in (reference, path)]
    distances = []
    for window in shown:
        inside = slice(window.offset, window.offset + window.count)
        wanted, got = (
            [_log_softmax(logits[0, inside]) for logits in session.run(None, feeds(window, model))]
            for session in sessions
        )
        distances.append(sum(float(np.exp(w) @ (w - g)) for w, g in zip(wanted, got, strict=True)))
    return float(np.mean(distances)), float(np.std(distances) / len(distances) ** 0.5)


def _log_softmax(logits: Floats) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def session_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Two sessions whose threads wait by spinning take the processors from each other.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
