"""INT8 graphs: what they are made of, and that they stay near FP32 and the same in any company."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from qa.calibration import Bin
from qa.catalog import Frame, read_card
from qa.windows import Windower
from training import card
from training.activations import divergence, session_options, windows
from training.export import export
from training.quantize import PAIR_LIMIT, RECIPES, Recipe, build, check_kernels, round_weights

ABOUT = Path(__file__).resolve().parents[2] / "training" / "cards" / "minilm-l6-squad-int8.json"
FRAME = Frame(max_sequence=64, max_question=16)


@pytest.fixture
def fp32(base: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base's export, made once."""
    folder = tmp_path_factory.getbasetemp() / "fp32-bert"
    if not folder.exists():
        export(base("bert"), folder)
    return folder


@pytest.fixture
def windower(fp32: Path) -> Windower:
    return Windower(fp32 / "tokenizer.json", FRAME, longest_answer=30)


@pytest.fixture
def int8(fp32: Path, windower: Windower, squad: Path, tmp_path: Path) -> Path:
    build(fp32, tmp_path / "int8", Recipe(), [squad], windower)
    return tmp_path / "int8"


def test_every_dense_layer_is_one_integer_product(int8: Path) -> None:
    check_kernels(int8 / "model.onnx")
    stored = {t.name: t.data_type for t in onnx.load(int8 / "model.onnx").graph.initializer}
    assert stored["layers.0.up.weight"] == onnx.TensorProto.INT8
    assert stored["encoder.words.weight"] == onnx.TensorProto.INT8
    assert stored["encoder.span.weight"] == onnx.TensorProto.FLOAT


def test_float_products_are_noticed(fp32: Path) -> None:
    with pytest.raises(RuntimeError, match="FP32"):
        check_kernels(fp32 / "model.onnx")


def test_no_two_neighbouring_weights_can_saturate(int8: Path) -> None:
    for tensor in onnx.load(int8 / "model.onnx").graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.name.startswith("layers."):
            if not tensor.name.endswith(".weight"):
                continue
            pairs = numpy_helper.to_array(tensor).astype(int).reshape(tensor.dims[0], -1, 2)
            assert np.maximum(pairs, 0).sum(2).max() <= PAIR_LIMIT
            assert np.minimum(pairs, 0).sum(2).min() >= -PAIR_LIMIT


def test_pairs_keep_more_than_seven_bits() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 384)).astype(np.float32)
    error = {
        kind: np.abs(codes * scales[:, None] - weights).mean()
        for kind in ("full", "pairs", "half")
        for codes, scales in [round_weights(weights, Recipe(weights=kind))]
    }
    assert error["full"] < error["pairs"] < 0.75 * error["half"]


def test_answers_do_not_depend_on_neighbours(int8: Path, windower: Windower, squad: Path) -> None:
    session = ort.InferenceSession(int8 / "model.onnx", session_options())
    window, other = windows([squad], windower, 2)
    width = max(len(window.input_ids), len(other.input_ids))
    rows = [window, other]
    padded = {
        "input_ids": [w.input_ids for w in rows],
        "attention_mask": [np.ones_like(w.input_ids) for w in rows],
        "token_type_ids": [w.token_type_ids for w in rows],
    }
    batch = {
        name: np.stack([np.pad(row, (0, width - len(row))) for row in values])
        for name, values in padded.items()
    }
    alone = session.run(None, {name: values[0][None] for name, values in padded.items()})
    together = session.run(None, batch)
    length = len(window.input_ids)
    for one, many in zip(alone, together, strict=True):
        np.testing.assert_allclose(many[0, :length], one[0], atol=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_stays_near_fp32(
    name: str, fp32: Path, windower: Windower, squad: Path, tmp_path: Path
) -> None:
    build(fp32, tmp_path / name, RECIPES[name], [squad], windower)
    paths = (fp32 / "model.onnx", tmp_path / name / "model.onnx")
    mean, _ = divergence(*paths, windows([squad], windower, 20))
    assert 0 < mean < 0.02
    same, _ = divergence(fp32 / "model.onnx", *paths[:1], windows([squad], windower, 20))
    assert same == 0


def test_the_card_says_what_is_in_the_folder(fp32: Path, int8: Path) -> None:
    model = onnx.load(fp32 / "model.onnx")
    card.write(int8, ABOUT, model, {"method": "static"})
    read = read_card(int8)
    assert read.file_sizes["model.onnx"] == (int8 / "model.onnx").stat().st_size
    width, inside, tokens = 32, 64, 10
    dense = 2 * (4 * width * width + 2 * width * inside) + 2 * width
    attention = 2 * 2 * tokens * tokens * width
    assert card.gops(model, tokens) == pytest.approx(2 * (tokens * dense + attention) / 1e9)
    told = {"dataset": "made up", "precision": "int8", "protocol": "app"}
    report = {
        "total": 4,
        "exact_match": 50.004,
        "f1": 60.0,
        "expected_calibration_error": 0.12345,
        "reliability": [{"count": 4, "score": 0.51234, "right": 0.5}],
        "no_answer": {"area_under_roc": 0.75, "accuracy": 70.0},
    }
    for f1 in (60.0, 61.0):
        card.add_metric(int8, told | card.figures(report | {"f1": f1}))
    assert len(json.loads((int8 / "model.json").read_text("utf-8"))["metrics"]) == 1
    again = read_card(int8)
    assert (again.exact_match, again.f1, again.area_under_roc) == (50.0, 61.0, 0.75)
    assert again.calibration_error == 0.1235
    assert again.reliability == (Bin(4, 0.5123, 0.5),)
