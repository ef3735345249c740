"""The exported graph says what the trained model says, for both families."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch

from training.encoder import Encoder
from training.export import TOLERANCE, export, parity


@pytest.fixture(params=["bert", "mpnet"])
def exported(
    request: pytest.FixtureRequest,
    base: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """A random base, and the folder it was exported to: once a family, as that takes seconds."""
    folder, fp32 = base(request.param), tmp_path_factory.getbasetemp() / f"fp32-{request.param}"
    if not fp32.exists():
        export(folder, fp32)
    return folder, fp32


def test_logits_are_the_trained_models(exported: tuple[Path, Path]) -> None:
    base, fp32 = exported
    assert parity(Encoder.from_pretrained(base).eval(), fp32 / "model.onnx") < TOLERANCE


def test_a_changed_weight_is_noticed(exported: tuple[Path, Path]) -> None:
    base, fp32 = exported
    encoder = Encoder.from_pretrained(base).eval()
    with torch.no_grad():
        encoder.layers[1].down.weight *= 1.1
    assert parity(encoder, fp32 / "model.onnx") > TOLERANCE


def test_the_graph_is_made_of_what_is_fast(exported: tuple[Path, Path]) -> None:
    graph = onnx.load(exported[1] / "model.onnx").graph
    kinds = Counter(node.op_type for node in graph.node)
    layers = 2
    assert kinds["Gemm"] == 6 * layers + 1
    assert kinds["MatMul"] == 2 * layers
    assert kinds["LayerNormalization"] == 2 * layers + 1
    assert kinds["Gelu"] == kinds["Softmax"] == layers
    shapes = {
        tuple(axis.dim_param for axis in value.type.tensor_type.shape.dim) for value in graph.input
    }
    assert shapes == {("batch", "sequence")}


def test_the_tokenizer_neither_cuts_nor_pads(exported: tuple[Path, Path]) -> None:
    base, fp32 = exported
    before, after = (json.loads((f / "tokenizer.json").read_text("utf-8")) for f in exported)
    assert before["truncation"] is not None
    assert after == before | {"truncation": None, "padding": None}
    assert len((fp32 / "tokenizer.json").read_bytes()) < len((base / "tokenizer.json").read_bytes())
