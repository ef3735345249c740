"""How far ONNX Runtime on a converted model and OpenVINO on its IR agree, one stretch of the
network at a time.

A stretch runs from the FakeQuantize nodes before it to the next one. Both runtimes are given the
same codes there (those of OpenVINO's own run), so that a rounding that falls one way here and the
other way there does not grow from layer to layer: a deep network of random weights is chaotic, and
its end says nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper
from openvino import opset8

from qa import engines

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Stretch:
    """The codes of one FakeQuantize: the share that is equal, and the largest difference."""

    name: str
    equal: float
    furthest: int


def inputs(model: openvino.Model, vocabulary: int, seed: int = 1) -> dict[str, Array]:
    """Random ids, a third of the sequence masked, for the inputs of `model` in the order of
    BERT's."""
    random = np.random.default_rng(seed)
    batch, length = (size for size in model.inputs[0].shape)
    ids = random.integers(0, vocabulary, (batch, length))
    mask = np.broadcast_to(np.arange(length) < length * 2 // 3, ids.shape)
    kinds = np.broadcast_to(np.arange(length) > length // 8, ids.shape)
    values = (ids, mask, kinds, np.broadcast_to(np.arange(length), ids.shape))
    names = [port.any_name for port in model.inputs]
    return {name: value.astype(np.int64) for name, value in zip(names, values, strict=False)}


def run_openvino(model: openvino.Model, feed: dict[str, Array]) -> list[Array]:
    """In 8 bits, as OpenVINO would; in floats where its sums of 8-bit products saturate."""
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    if engines.saturates():
        settings["LP_TRANSFORMS_MODE"] = "NO"
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    results = request.infer(feed, share_outputs=False)
    return [np.array(results[port]) for port in compiled.outputs]


def onnx_session(model: Path | bytes) -> onnxruntime.InferenceSession:
    source = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(
        source, engines.options(2), providers=["CPUExecutionProvider"]
    )


def run_onnx(
    model: Path | bytes, feed: dict[str, Array], wanted: list[str] | None = None
) -> list[Array]:
    return [np.asarray(array) for array in onnx_session(model).run(wanted, feed)]


def stretches(xml: Path, converted: Path, vocabulary: int) -> list[Stretch]:
    """Every FakeQuantize on an activation, in the order of the network."""
    model = openvino.Core().read_model(xml)
    feed = inputs(model, vocabulary)
    nodes = [node for node in model.get_ordered_ops() if _on_activation(node)]
    grids = [_grid(node) for node in nodes]
    names = [node.get_friendly_name() for node in nodes]

    model.add_outputs([node.output(0) for node in nodes])
    floats = run_openvino(model, feed)[-len(nodes) :]
    starts = [
        np.round((array - low) / step) for array, (low, step) in zip(floats, grids, strict=True)
    ]

    cut = openvino.Core().read_model(xml)
    theirs = run_openvino(*_cut_openvino(cut, names, starts, grids, feed))
    ours = _run_cut_onnx(converted, names, starts, feed)
    result = []
    for name, array, (low, step), codes in zip(names, theirs, grids, ours, strict=True):
        if codes is None:
            result.append(Stretch(name, 0.0, 255))
            continue
        difference = np.abs(_laid_out(np.round((array - low) / step), codes.shape) - codes)
        result.append(Stretch(name, float((difference == 0).mean()), int(difference.max())))
    return result


def _cut_openvino(
    model: openvino.Model,
    names: list[str],
    starts: list[Array],
    grids: list[tuple[float, float]],
    feed: dict[str, Array],
) -> tuple[openvino.Model, dict[str, Array]]:
    """Whatever reads a FakeQuantize reads one of a new input instead, given numbers that lie on its
    grid."""
    by_name = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    feed, parameters, results = dict(feed), list(model.get_parameters()), []
    for index, (name, codes, (low, step)) in enumerate(zip(names, starts, grids, strict=True)):
        node = by_name[name]
        parameter = opset8.parameter(list(codes.shape), np.float32, name=f"start.{index}")
        parameter.output(0).get_tensor().set_names({f"start.{index}"})
        again = opset8.fake_quantize(
            parameter, *node.input_values()[1:], node.get_attributes()["levels"]
        )
        for reader in node.output(0).get_target_inputs():
            reader.replace_source_output(again.output(0))
        parameters.append(parameter)
        results.append(opset8.result(node.output(0)))
        feed[f"start.{index}"] = (codes * step + low).astype(np.float32)
    used = {port.any_name for port in openvino.Model(results, parameters).inputs}
    return openvino.Model(results, parameters), {key: feed[key] for key in used}


def _run_cut_onnx(
    converted: Path, names: list[str], starts: list[Array], feed: dict[str, Array]
) -> list[Array | None]:
    """The same cut of the converted model, whose codes bear the names of the FakeQuantize nodes."""
    model = onnx.load(converted)
    made = {name for node in model.graph.node for name in node.output}
    kept = {name: codes for name, codes in zip(names, starts, strict=True) if name in made}
    feed = {port.name: feed[port.name] for port in model.graph.input}
    for name in kept:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, None))
    uncut = run_onnx(model.SerializeToString(), feed, list(kept))
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in kept:
                node.input[index] = f"{name}.start"
    for (name, codes), found in zip(kept.items(), uncut, strict=True):
        value = _laid_out(codes, found.shape).astype(np.uint8)
        port = helper.make_tensor_value_info(f"{name}.start", TensorProto.UINT8, value.shape)
        model.graph.input.append(port)
        feed[port.name] = value
    cut = dict(zip(kept, run_onnx(model.SerializeToString(), feed, list(kept)), strict=True))
    return [cut[name].astype(np.int64) if name in cut else None for name in names]


def _laid_out(codes: Array, shape: tuple[int, ...]) -> Array:
    """Codes as [batch, heads, length, size] or [batch, length, heads · size], between which a
    converter may choose where to quantize."""
    if codes.shape == shape:
        return codes
    if len(shape) == 3:
        return codes.transpose(0, 2, 1, 3).reshape(shape)
    return codes.reshape(shape[0], shape[2], shape[1], shape[3]).transpose(0, 2, 1, 3)


def _on_activation(node: Any) -> bool:
    return node.get_type_name() == "FakeQuantize" and _constant(node.input_value(0)) is None


def _grid(node: Any) -> tuple[float, float]:
    low, high = (float(_constant(node.input_value(index)).item()) for index in (1, 2))
    return low, (high - low) / (node.get_attributes()["levels"] - 1)


def _constant(value: Any) -> Any:
    node = value.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.get_data()) if node.get_type_name() == "Constant" else None
