"""A trained model in the INT8 form that OpenVINO's own tools make, converted: the same answers.

The default model's weights, as floats, go into an OpenVINO IR; NNCF quantizes that (symmetric, for
transformers, calibrated on the examples); the converted model must answer the examples' questions
as OpenVINO does. The long form asks 500 questions of the SQuAD file that VERBATIM_SQUAD names.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import numpy_helper
from tokenizers import Tokenizer

from qa import Reader, catalog, squad
from qa.openvino_ir import convert
from qa.spans import WindowLogits
from qa.windows import Window
from tests import ir_agreement
from tests.ir_factory import Form, bert

LENGTH = 256  # tokens: enough to hold most answers, and quick
SIZE = 32  # of a head
EXAMPLES = Path(__file__).parents[1] / "examples"
# What the parts of a layer are called in `ir_factory`, and in the default model.
LINEARS = {
    **{part: part for part in ("query", "key", "value", "out")},
    "inner.0": "up",
    "fed": "down",
}
NORMS = {"middle": "attention_norm", "norm": "norm"}

Array = ir_agreement.Array


@pytest.fixture(scope="module")
def ir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The INT8 IR, for windows of LENGTH tokens."""
    return int8_ir(tmp_path_factory.mktemp("nncf"), LENGTH)


def int8_ir(folder: Path, length: int) -> Path:
    """Make the INT8 IR, for windows of so many tokens."""
    nncf = pytest.importorskip("nncf")
    weights = float_weights(catalog.find(catalog.DEFAULT).folder / "model.onnx")
    layers = len({name.split(".")[1] for name in weights if name.startswith("layer.")})
    form = Form(
        layers=layers,
        width=weights["words.weight"].shape[1],
        inner=(weights["layer.0.inner.0.weight"].shape[0],),
        heads=weights["words.weight"].shape[1] // SIZE,
        vocabulary=len(weights["words.weight"]),
        positions=len(weights["positions.weight"]),
        sequence=length,
        floats="f32",
        embeddings="f32",
    )
    model = openvino.Core().read_model(bert(folder / "float", form, weights))
    calibration = nncf.Dataset([feed for feed, _ in questions(length)])
    quantized = nncf.quantize(
        model,
        calibration,
        preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=10,
    )
    openvino.save_model(quantized, folder / "model.xml", compress_to_fp16=False)
    return folder / "model.xml"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # what NNCF's dependencies deprecate is not ours to mend
def test_same_answers_as_openvino(ir: Path, tmp_path: Path) -> None:
    converted = convert(ir, tmp_path / "out")
    made = {node.op_type for node in onnx.load(converted.path).graph.node}
    assert {"MatMulIntegerToFloat", "LayerNormalization", "Gelu"} <= made
    compiled = openvino.Core().compile_model(ir, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    session = ir_agreement.onnx_session(converted.path)
    ours: list[tuple[int, int]] = []
    theirs: list[tuple[int, int]] = []
    for feed, (first, last) in questions(LENGTH):
        for found, (starts, ends) in (
            (ours, session.run(None, feed)),
            (theirs, (compiled(feed)[0], compiled(feed)[1])),
        ):
            found.append(best(starts[0], ends[0], first, last))
    assert len(ours) > 20
    assert ours == theirs
    agreed = ir_agreement.stretches(ir, converted.path, vocabulary=30522)
    assert len(agreed) > 30
    assert [s for s in agreed if s.equal < 0.999 or s.furthest > 1] == []


class OpenVinoModel:
    """An IR for windows of a fixed length under OpenVINO, in place of `qa.session.Session`."""

    def __init__(self, ir: Path, length: int) -> None:
        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = openvino.Core().compile_model(ir, "CPU", hint)
        self._length = length

    def run(self, window: Window) -> WindowLogits:
        n = len(window.input_ids)
        rows = {
            "input_ids": window.input_ids,
            "attention_mask": np.ones(n, np.int64),
            "token_type_ids": window.token_type_ids,
            "position_ids": np.arange(self._length),
        }
        found = self._compiled(
            {name: np.pad(row, (0, self._length - len(row)))[None] for name, row in rows.items()}
        )
        start, end = (found[output].reshape(-1)[:n] for output in range(2))
        return WindowLogits(window.first, window.count, window.offset, start, end)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # as above
def test_same_answers_on_squad(tmp_path: Path) -> None:
    if "VERBATIM_SQUAD" not in os.environ:
        pytest.skip("VERBATIM_SQUAD does not name a SQuAD file")
    bundled = catalog.find(catalog.DEFAULT)
    length = bundled.frame.max_sequence
    ir = int8_ir(tmp_path, length)
    folder = convert(ir, tmp_path / "converted").path.parent
    shutil.copy(bundled.folder / "tokenizer.json", folder)
    converted = Reader.load(folder)
    reference = Reader(bundled, converted.windower, OpenVinoModel(ir, length))
    nudged = Reader.load(nudge(folder, tmp_path / "nudged"))
    examples = squad.spread(squad.read(Path(os.environ["VERBATIM_SQUAD"])), 500)
    ours, theirs, other = (
        [reader.predict_squad(example.question, example.passage) for example in examples]
        for reader in (converted, reference, nudged)
    )
    same, floor = (
        sum(a == b for a, b in zip(ours, answers, strict=True)) / 500 for answers in (theirs, other)
    )
    accuracy = [
        [
            100 * sum(metric(p, e.references) for p, e in zip(found, examples, strict=True)) / 500
            for metric in (squad.exact_match, squad.f1)
        ]
        for found in (ours, theirs)
    ]
    print(f"same {same:.1%}, as itself nudged {floor:.1%}; EM, F1 {accuracy[0]}, {accuracy[1]}")  # noqa: T201
    # Two runtimes agree as well as one with itself: what is left is how rounding falls.
    assert same >= floor - 0.01
    assert accuracy[0] == pytest.approx(accuracy[1], abs=0.5)


def nudge(folder: Path, out: Path) -> Path:
    """A copy of a model whose vectors of floats are changed by a millionth: how much of an answer
    hangs on which way a rounding falls."""
    shutil.copytree(folder, out)
    model = onnx.load(out / "model.onnx")
    random = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims):
            array = numpy_helper.to_array(tensor)
            changed = (array * (1 + 1e-6 * random.standard_normal(array.shape))).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, out / "model.onnx")
    return out


def questions(length: int) -> Iterator[tuple[dict[str, Array], tuple[int, int]]]:
    """The examples' questions whose answer is in the first window of the passage: the window, and
    where in it the passage is."""
    tokenizer = Tokenizer.from_file(str(catalog.find(catalog.DEFAULT).folder / "tokenizer.json"))
    tokenizer.enable_truncation(length, strategy="only_second")
    tokenizer.enable_padding(length=length)
    for name, example in json.loads((EXAMPLES / "questions.json").read_text("utf-8")).items():
        passage = (EXAMPLES / name).read_text("utf-8")
        for question in example["questions"]:
            window = tokenizer.encode(question["question"], passage)
            rows = {
                "input_ids": window.ids,
                "attention_mask": window.attention_mask,
                "token_type_ids": window.type_ids,
                "position_ids": list(range(length)),
            }
            feed = {key: np.array([row], np.int64) for key, row in rows.items()}
            tokens = [index for index, part in enumerate(window.sequence_ids) if part == 1]
            seen = passage[: window.offsets[tokens[-1]][1]]
            if any(answer in seen for answer in question["answers"]):
                yield feed, (tokens[0], tokens[-1])


def best(starts: Array, ends: Array, first: int, last: int) -> tuple[int, int]:
    """The likeliest span of at most 30 tokens of the passage."""
    spans = [(i, j) for i in range(first, last + 1) for j in range(i, min(i + 30, last + 1))]
    return max(spans, key=lambda span: float(starts[span[0]] + ends[span[1]]))


def float_weights(model: Path) -> dict[str, Array]:
    """The default model's weights as floats, by the names of `ir_factory`."""
    graph = onnx.load(model).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    smoothed = {}  # weights whose input is divided by factors first
    for gemm in (node for node in graph.node if node.op_type == "Gemm"):
        weight = makers.get(gemm.input[1])
        if weight is not None:
            quantize = makers[makers[gemm.input[0]].input[0]]
            divide = makers[quantize.input[0]]
            if divide.op_type == "Mul":
                smoothed[weight.input[0]] = next(arrays[x] for x in divide.input if x in arrays)

    def floats(name: str) -> Array:
        codes = arrays[name].astype(np.float32)
        scale = arrays.get(f"{name}.scale", np.ones(1, np.float32))
        scaled = codes * scale.reshape(-1, *[1] * (codes.ndim - 1)) * smoothed.get(name, 1)
        # The bundled query is divided by the root of a head's size ahead of time.
        return np.asarray(scaled * SIZE**0.5 if ".query." in name else scaled)

    found = {
        "words.weight": floats("encoder.words.weight"),
        "positions.weight": floats("encoder.positions.weight"),
        "kinds.weight": floats("encoder.types.weight"),
        "embeddings.norm.gamma": floats("encoder.norm.weight"),
        "embeddings.norm.beta": floats("encoder.norm.bias"),
        "answer.weight": floats("encoder.span.weight"),
        "answer.bias": floats("encoder.span.bias"),
    }
    for name in arrays:
        layer = re.fullmatch(r"layers\.(\d+)\.norm\.weight", name)
        if layer is None:
            continue
        ours, theirs = f"layer.{layer[1]}", f"layers.{layer[1]}"
        for part, source in LINEARS.items():
            found[f"{ours}.{part}.weight"] = floats(f"{theirs}.{source}.weight")
            found[f"{ours}.{part}.bias"] = floats(f"{theirs}.{source}.bias")
        for part, source in NORMS.items():
            found[f"{ours}.{part}.gamma"] = floats(f"{theirs}.{source}.weight")
            found[f"{ours}.{part}.beta"] = floats(f"{theirs}.{source}.bias")
    return {
        name: array.reshape(1, 1, -1) if array.ndim == 1 else array for name, array in found.items()
    }
