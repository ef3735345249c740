"""Graphs of every interface: names, order, integer types, fixed and free lengths."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qa.errors import QAError
from qa.session import Session
from qa.windows import Window

WINDOW = Window(
    first=5,
    count=3,
    offset=2,
    input_ids=np.array([101, 102, 11, 12, 13, 102]),
    token_type_ids=np.array([0, 0, 1, 1, 1, 1]),
)


def build(
    path: Path,
    inputs: list[str],
    outputs: list[str],
    length: int | str = "sequence",
    integers: int = TensorProto.INT64,
) -> Path:
    """Save a graph whose outputs number k is the sum of its inputs, input i times 1000 to the power
    i, plus k."""
    shape = [1 if isinstance(length, int) else "batch", length]
    nodes = []
    terms = []
    weights = []
    for i, name in enumerate(inputs):
        weights.append(numpy_helper.from_array(np.array(1000**i, np.float32), f"weight{i}"))
        nodes.append(helper.make_node("Cast", [name], [f"float{i}"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"float{i}", f"weight{i}"], [f"term{i}"]))
        terms.append(f"term{i}")
    nodes.append(helper.make_node("Sum", terms, ["sum"]))
    for k, name in enumerate(outputs):
        weights.append(numpy_helper.from_array(np.array(k, np.float32), f"number{k}"))
        nodes.append(helper.make_node("Add", ["sum", f"number{k}"], [name]))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, integers, shape) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
        weights,
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


ROLES = ["input_ids", "attention_mask", "token_type_ids"]


@pytest.mark.parametrize("length", ["sequence", 6, 16])
@pytest.mark.parametrize("integers", [TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (ROLES, ["output_s", "output_e"]),
        (["input_ids", "input_mask", "segment_ids"], ["start_logits", "end_logits"]),
        (["result.1", "result.2", "result.3"], ["5211", "5212"]),
        (["a", "b", "c"], ["x", "y"]),
    ],
)
def test_roles(
    tmp_path: Path, inputs: list[str], outputs: list[str], integers: int, length: int | str
) -> None:
    session = Session(build(tmp_path / "model.onnx", inputs, outputs, length, integers))
    logits = session.run(WINDOW)
    expected = WINDOW.input_ids + 1000.0 + 1000.0**2 * WINDOW.token_type_ids
    assert logits.start.tolist() == expected.tolist()
    assert logits.end.tolist() == (expected + 1).tolist()
    assert logits.start[logits.passage].tolist() == expected[2:5].tolist()
    assert (logits.first, logits.stop) == (5, 8)


def test_inputs_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    """Outputs too: here the end logits come first."""
    names = ["position_ids", "token_type_ids", "input_ids"]
    logits = Session(build(tmp_path / "model.onnx", names, ["output_e", "output_s"])).run(WINDOW)
    expected = np.arange(6) + 1000.0 * WINDOW.token_type_ids + 1000.0**2 * WINDOW.input_ids
    assert logits.end.tolist() == expected.astype(np.float32).tolist()
    assert logits.start.tolist() == (expected + 1).astype(np.float32).tolist()


def test_a_model_without_token_types(tmp_path: Path) -> None:
    logits = Session(build(tmp_path / "model.onnx", ROLES[:2], ["s", "e"])).run(WINDOW)
    assert logits.start.tolist() == (WINDOW.input_ids + 1000.0).tolist()


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (ROLES, ["only"], "gives no start and end logits"),
        ([*ROLES, "position_ids", "image"], ["s", "e"], "does not take tokens"),
        (["attention_mask"], ["s", "e"], "does not take tokens"),
    ],
)
def test_other_kinds_of_model_are_refused(
    tmp_path: Path, inputs: list[str], outputs: list[str], message: str
) -> None:
    with pytest.raises(QAError, match=message):
        Session(build(tmp_path / "model.onnx", inputs, outputs))


def test_hidden_states_are_no_logits(tmp_path: Path) -> None:
    path = build(tmp_path / "model.onnx", ROLES, ["last_hidden_state", "pooler_output"])
    model = onnx.load(path)
    wide = numpy_helper.from_array(np.ones((384, 1, 1), np.float32), "weight0")
    model.graph.initializer[0].CopyFrom(wide)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    with pytest.raises(QAError, match="gives no start and end logits; choose another model"):
        Session(path).run(WINDOW)


def test_a_window_longer_than_the_graph_takes(tmp_path: Path) -> None:
    session = Session(build(tmp_path / "model.onnx", ROLES, ["s", "e"], length=4))
    with pytest.raises(QAError, match="could not read this window"):
        session.run(WINDOW)
