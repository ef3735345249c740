"""The dense layers of a graph of training.quantize, as what their integers stand for.

Leaves out how they were rounded (quantize.py) and everything that was not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from training.activations import Floats

Constants = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class RoundedLayer:
    """A dense layer: what its weight [out, in] and its bias [out] stand for, by their names; the
    constants that they are made of, and those that round what enters it."""

    values: dict[str, Floats]
    constants: Constants


def rounded_layers(graph: onnx.GraphProto) -> Iterator[RoundedLayer]:
    """All dense layers that are rounded, in their order."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    maker = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type != "Gemm" or node.input[1] not in maker:
            continue  # the head, which is not rounded
        source, *parameters = (maker[name] for name in node.input)
        rounding = maker[source.input[0]]
        nodes = [rounding, *parameters]
        weight = parameters[0].input[0]
        # A bias of zeros is left out of the graph.
        values = {weight.replace(".weight", ".bias"): np.zeros(len(stored[weight]), np.float32)}
        for parameter in parameters:
            name, scale = parameter.input[:2]
            values[name] = (stored[name].T * stored[scale]).T
        before = maker[rounding.input[0]]
        if before.op_type == "Mul":  # outliers are divided, and their weights multiplied by as much
            nodes.append(before)
            values[weight] *= stored[before.input[1]]
        used = {name for each in nodes for name in each.input}
        yield RoundedLayer(values, {name: stored[name] for name in used & stored.keys()})


def shared_constants(path: Path, model: onnx.ModelProto) -> Constants:
    """The constants of those layers of the quantized graph at `path` that the FP32 `model` has too:
    one that was restored from it, and trained on in other layers.

    Raises ValueError where there are none.
    """
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shared: dict[str, NDArray[np.generic]] = {}
    for layer in rounded_layers(onnx.load(path).graph):
        if all(_same(stored.get(name), value) for name, value in layer.values.items()):
            shared |= layer.constants
    if not shared:
        raise ValueError(f"No layer of {path} is one of the FP32 graph's.")
    return shared


def _same(stored: Floats | None, value: Floats) -> bool:
    if stored is None:  # the exporter leaves out a bias of zeros
        return not value.any()
    # The exporter scales the query's weights, which may change their last bit.
    return stored.shape == value.shape and np.allclose(stored, value)
