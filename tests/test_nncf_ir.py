"""A trained model in the INT8 form that OpenVINO's own tools make, converted: the same answers.

The bundled model's weights, as floats, go into an OpenVINO IR; NNCF quantizes that (symmetric, for transformers,
calibrated on the examples); the converted model must answer the examples' questions as OpenVINO does.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import openvino  # type: ignore[import-untyped]
import pytest
from onnx import numpy_helper
from tokenizers import Tokenizer

from qa import catalog
from qa.openvino_ir import convert
from tests import ir_agreement
from tests.ir_factory import Form, bert

LENGTH = 256
EXAMPLES = Path(__file__).parents[1] / "examples"
# where our factory's parts stand in the bundled model
PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "inner.0": "intermediate.dense",
    "fed": "output.dense",
}
NORMS = {"middle": "attention.output.LayerNorm", "norm": "output.LayerNorm"}

Array = ir_agreement.Array


@pytest.fixture(scope="module")
def ir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The INT8 IR."""
    nncf = pytest.importorskip("nncf")
    folder = tmp_path_factory.mktemp("nncf")
    weights = float_weights(catalog.find(catalog.DEFAULT).folder / "model.onnx")
    layers = len({name.split(".")[1] for name in weights if name.startswith("layer.")})
    form = Form(
        layers=layers,
        width=weights["words.weight"].shape[1],
        inner=(weights["layer.0.inner.0.weight"].shape[0],),
        heads=12,
        vocabulary=len(weights["words.weight"]),
        positions=len(weights["positions.weight"]),
        sequence=LENGTH,
        floats="f32",
        embeddings="f32",
    )
    model = openvino.Core().read_model(bert(folder / "float", form, weights))
    calibration = nncf.Dataset([feed for feed, _ in questions()])
    quantized = nncf.quantize(
        model,
        calibration,
        preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=30,
    )
    openvino.save_model(quantized, folder / "model.xml", compress_to_fp16=False)
    return folder / "model.xml"


@pytest.mark.filterwarnings("ignore")  # what NNCF's dependencies deprecate is not ours to mend
def test_same_answers_as_openvino(ir: Path, tmp_path: Path) -> None:
    converted = convert(ir, tmp_path / "out")
    made = {node.op_type for node in onnx.load(converted.path).graph.node}
    assert {"MatMulIntegerToFloat", "LayerNormalization", "Gelu"} <= made
    compiled = openvino.Core().compile_model(ir, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    session = ir_agreement.onnx_session(converted.path)
    ours, theirs = [], []
    for feed, (first, last) in questions():
        for found, (starts, ends) in (
            (ours, session.run(None, feed)),
            (theirs, (compiled(feed)[0], compiled(feed)[1])),
        ):
            found.append(best(starts[0], ends[0], first, last))
    assert len(ours) > 20
    assert ours == theirs


def questions() -> Iterator[tuple[dict[str, Array], tuple[int, int]]]:
    """The examples' questions on the first window of their passages, and where the passage is in it."""
    tokenizer = Tokenizer.from_file(str(catalog.find(catalog.DEFAULT).folder / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH, strategy="only_second")
    tokenizer.enable_padding(length=LENGTH)
    for name, example in json.loads((EXAMPLES / "questions.json").read_text("utf-8")).items():
        passage = (EXAMPLES / name).read_text("utf-8")
        for question in example["questions"]:
            window = tokenizer.encode(question["question"], passage)
            rows = {
                "input_ids": window.ids,
                "attention_mask": window.attention_mask,
                "token_type_ids": window.type_ids,
                "position_ids": list(range(LENGTH)),
            }
            feed = {key: np.array([row], np.int64) for key, row in rows.items()}
            tokens = [index for index, part in enumerate(window.sequence_ids) if part == 1]
            yield feed, (tokens[0], tokens[-1])


def best(starts: Array, ends: Array, first: int, last: int) -> tuple[int, int]:
    """The likeliest span of at most 30 tokens of the passage."""
    spans = [(i, j) for i in range(first, last + 1) for j in range(i, min(i + 30, last + 1))]
    return max(spans, key=lambda span: float(starts[span[0]] + ends[span[1]]))


def float_weights(model: Path) -> dict[str, Array]:
    """The bundled model's weights as floats, by the names of `ir_factory`."""
    graph = onnx.load(model).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    prefix = next(name for name in arrays if name.endswith("embeddings.LayerNorm.weight"))
    prefix = prefix.removesuffix("embeddings.LayerNorm.weight")

    def linear(bias: str) -> Array:
        """The matrix before the Add of a bias: rows are outputs."""
        add = next(node for node in graph.node if node.op_type == "Add" and bias in node.input)
        times = makers[next(name for name in add.input if name != bias)]
        cast, scales = (makers[name] for name in times.input)
        if cast.op_type != "Cast":
            cast, scales = scales, cast
        product = makers[cast.input[0]]
        scale = next(arrays[name] for name in scales.input if name in arrays)
        zero = arrays[product.input[3]].astype(np.float32) if len(product.input) > 3 else np.float32(0)
        return np.asarray((arrays[product.input[1]].astype(np.float32) - zero) * scale).T

    found: dict[str, Array] = {}
    layer = 0
    while f"{prefix}encoder.layer.{layer}.output.dense.bias" in arrays:
        for ours, theirs in PARTS.items():
            bias = f"{prefix}encoder.layer.{layer}.{theirs}.bias"
            found[f"layer.{layer}.{ours}.bias"] = arrays[bias].reshape(1, 1, -1)
            found[f"layer.{layer}.{ours}.weight"] = linear(bias)
        for ours, theirs in NORMS.items():
            for part, name in (("gamma", "weight"), ("beta", "bias")):
                array = arrays[f"{prefix}encoder.layer.{layer}.{theirs}.{name}"]
                found[f"layer.{layer}.{ours}.{part}"] = array.reshape(1, 1, -1)
        layer += 1
    for part, name in (("gamma", "weight"), ("beta", "bias")):
        array = arrays[f"{prefix}embeddings.LayerNorm.{name}"]
        found[f"embeddings.norm.{part}"] = array.reshape(1, 1, -1)
    answer = next(name for name in arrays if name.endswith("qa_outputs.bias"))
    found["answer.bias"], found["answer.weight"] = arrays[answer].reshape(1, 1, -1), linear(answer)
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            gather = makers.get(node.input[0])
            name = gather.input[0] if gather is not None else node.input[0]
            table = (arrays[name].astype(np.float32) - arrays[node.input[2]]) * arrays[node.input[1]]
            rows = len(table)
            found[{2: "kinds", 512: "positions"}.get(rows, "words") + ".weight"] = table
    return found
