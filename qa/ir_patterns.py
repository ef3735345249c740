"""What a BERT's layers mean: groups of an IR's layers recognised as one operation each.

    Weight          8-bit constant - zero point, times scale       codes, zero, scale
    LayerNorm       MVN or its decomposed form, times, plus        gamma, beta, epsilon
    Gelu            itself or its form with Erf
    Linear          product with a Weight, plus                    codes, zero, scale, bias
    SoftMax         without the Reshapes that flatten it to two axes
    SelfAttention   query, key and value Linears of one quantized  codes, scale, bias (query, key, value
                    tensor, to the heads' contexts side by side    side by side), heads, penalty

A group takes the place (and id) of its last layer, so whatever read that layer now reads the group; what is
left without a reader goes. Constants are folded where a pattern or an emitted node needs their value, as
float32 whatever float type they are stored in. What is not recognised stays as it was. Nothing here knows ONNX.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from qa.ir_graph import Array, Graph, IRError, Layer, Value

# What folding may add up to: a BERT folds scalars, norms and biases and, at most, its position embeddings.
MAX_FOLDED_BYTES = 256 << 20

FLOATS = ("f16", "f32", "f64")

_FOLDS: dict[str, Callable[..., Array]] = {
    "Const": lambda: None,  # never called: a Const is its array
    "Convert": lambda a: a,  # to the port's type, as every folded layer
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Divide": np.divide,
    "Power": np.power,
    "Sqrt": np.sqrt,
    "Reshape": lambda a, shape: a.reshape(shape),
    "Transpose": lambda a, order: a.transpose(order),
    "Squeeze": lambda a, axes: a.squeeze(tuple(axes.ravel().astype(int))),
    "Unsqueeze": lambda a, axes: np.expand_dims(a, tuple(axes.ravel().astype(int))),
}
_NUMPY = {"f16": "f4", "f32": "f4", "f64": "f4", "boolean": "?", "u64": "i8"}


class Patterns:
    """Layers by id, every one after those it reads, and who reads whom."""

    def __init__(self, graph: Graph) -> None:
        self.layers = dict(graph.layers)
        self._folded: dict[Value, Array] = {}
        self._budget = MAX_FOLDED_BYTES
        self._skip_float_converts()
        self.prune()
        for rule in (_weight, _layer_norm, _gelu, _linear, _softmax, _sink, _self_attention):
            for number in list(self.layers):
                for layer in rule(self, self.layers[number]):
                    self._put(layer)
            self.prune()

    def source(self, value: Value) -> Layer:
        return self.layers[value[0]]

    def readers(self, value: Value) -> list[Layer]:
        return [self.layers[number] for number in sorted(self._readers.get(value, ()))]

    def constant(self, value: Value) -> Array | None:
        """The value if it depends on constants alone, otherwise None."""
        if value[0] not in self._constant:
            return None
        waiting = [value]
        while waiting:  # not by recursion: a hostile chain may be long
            layer = self.source(waiting[-1])
            if missing := [v for v in layer.inputs if v not in self._folded]:
                waiting += missing
            else:
                self._folded[waiting.pop()] = self._fold(layer)
        return self._folded[value]

    def prune(self) -> None:
        """Drop what no Result depends on; Parameters stay, for they are the model's interface."""
        kept: set[int] = set()
        waiting = [n for n, layer in self.layers.items() if layer.type in ("Result", "Parameter")]
        while waiting:
            if (number := waiting.pop()) not in kept:
                kept.add(number)
                waiting += [source for source, _ in self.layers[number].inputs]
        self.layers = {number: layer for number, layer in self.layers.items() if number in kept}
        self._readers: dict[Value, set[int]] = {}
        self._constant: set[int] = set()
        for number, layer in self.layers.items():
            for value in layer.inputs:
                self._readers.setdefault(value, set()).add(number)
            if layer.type in _FOLDS and all(source in self._constant for source, _ in layer.inputs):
                self._constant.add(number)

    def _put(self, layer: Layer) -> None:
        for value in self.layers[layer.id].inputs:
            self._readers[value].discard(layer.id)
        for value in layer.inputs:
            self._readers.setdefault(value, set()).add(layer.id)
        self.layers[layer.id] = layer
        self._constant.discard(layer.id)

    def _skip_float_converts(self) -> None:
        """Read through every Convert between float types: all floats are computed as float32."""
        through: dict[Value, Value] = {}
        for number, layer in self.layers.items():
            inputs = tuple(through.get(value, value) for value in layer.inputs)
            self.layers[number] = replace(layer, inputs=inputs)
            if layer.type == "Convert" and len(inputs) == 1:
                source = self.layers[inputs[0][0]].outputs[inputs[0][1]]
                if source.dtype in FLOATS and layer.outputs[0].dtype in FLOATS:
                    through[number, 0] = inputs[0]

    def _fold(self, layer: Layer) -> Array:
        array = layer.constants.get("value")
        try:
            if array is None:
                with np.errstate(all="ignore"):
                    array = _FOLDS[layer.type](*(self._folded[value] for value in layer.inputs))
        except (ValueError, TypeError) as error:
            raise IRError(f"The constants of the {layer} do not fit together.") from error
        dtype = layer.outputs[0].dtype
        array = np.asarray(array, _NUMPY.get(dtype, np.dtype(dtype.replace("u", "u"))) if False else None)
        return array
