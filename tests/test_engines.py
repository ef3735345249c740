"""Engines: what this machine has, and whether each gives the same answers."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from qa import InputError, QAError, Reader, engines

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("engine", [name for name in engines.available() if name != "cpu"])
def test_the_same_answers(engine: str, reader: Reader) -> None:
    """They round differently: 96 % of 1,000 questions of SQuAD got the same answer from both, and
    neither was right more often than the other."""
    other = Reader.load(engine=engine)
    same = []
    for name, example in json.loads((EXAMPLES / "questions.json").read_text("utf-8")).items():
        passage = (EXAMPLES / name).read_text("utf-8")
        for question in example["questions"][:2]:
            mine = reader.answer(question["question"], passage, top_k=1)
            theirs = other.answer(question["question"], passage, top_k=1)
            assert theirs.answers[0].score == pytest.approx(mine.answers[0].score, abs=0.1)
            same.append(theirs.answers[0].text == mine.answers[0].text)
    assert len(same) > 10
    assert sum(same) >= 0.9 * len(same)


def test_the_own_engine_is_always_there() -> None:
    assert engines.available()[0] == "cpu"
    assert set(engines.available()) <= set(engines.NAMES)


def test_auto_is_an_engine_that_runs(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    real = engines.available()
    monkeypatch.setattr(engines, "available", lambda: ("openvino", "cpu"))
    fastest = Reader.load(engine="auto")  # the first cannot run where its plugin is missing
    assert fastest.engine in real
    answer, theirs = (each.answer("Who?", "Ada wrote it.").answers[0] for each in (reader, fastest))
    assert theirs.text == answer.text


def test_int8_products_are_exact(tmp_path: Path) -> None:
    """On every processor: those without VNNI would add two of them in 16 bits."""
    random = np.random.default_rng(1)
    codes = random.integers(0, 256, (48, 64)).astype(np.uint8)
    weights = random.integers(-128, 128, (64, 32)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["codes", "weights"], ["sums"])],
        "product",
        [helper.make_tensor_value_info("codes", TensorProto.UINT8, codes.shape)],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, None)],
        [numpy_helper.from_array(weights, "weights")],
    )
    path = tmp_path / "model.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    session = engines.session(path, "cpu", 1, fits_16_bits=False)
    (sums,) = session.run(None, {"codes": codes})
    np.testing.assert_array_equal(sums, codes.astype(int) @ weights.astype(int))


def test_openvino_that_is_built_in_needs_no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime is asked for its own, and says here that it has none."""
    own = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: own)
    with (
        pytest.warns(UserWarning, match="'OpenVINOExecutionProvider' is not in available"),
        pytest.raises(QAError, match=r"engine openvino cannot run .* choose the engine cpu"),
    ):
        Reader.load(engine="openvino")


def test_the_environment_names_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_ENGINE", "steam")
    with pytest.raises(
        InputError, match="no engine 'steam' on this machine; choose one of: auto, cpu"
    ):
        Reader.load()
    assert engines.chosen("cpu") == "cpu"
    monkeypatch.delenv("QA_ENGINE")
    assert engines.chosen() == "cpu"
