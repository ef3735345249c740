"""A graph that can be rewritten: its layers, who reads whom, and which values are constant.

Floats are computed as float32 whatever type an IR stores them in, so every conversion between float
types is read through; whole numbers are int64 where they were uint64. Folding is bounded, so that
no .xml can ask for more memory than a model needs. What to rewrite is the business of
patterns.py and attention.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod

import numpy as np

from qa.openvino_ir.graph import DTYPES, Array, Graph, IRError, Layer, Value

FLOATS = frozenset({"f16", "f32", "f64"})

# BERT-large's largest constant is its word embeddings, 31 million numbers; what it folds is norms,
# biases and at most the embeddings of its positions.
MAX_ELEMENTS = 64_000_000
MAX_FOLDED_BYTES = 256 << 20

_ELEMENTWISE: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Divide": np.divide,
    "Power": np.power,
}
_MOVING: dict[str, Callable[[Array, Array], Array]] = {
    "Reshape": lambda array, shape: array.reshape(tuple(shape.ravel())),
    "Transpose": lambda array, order: array.transpose(tuple(order.ravel())),
    "Squeeze": lambda array, axes: array.squeeze(tuple(axes.ravel())),
    "Unsqueeze": lambda array, axes: np.expand_dims(array, tuple(axes.ravel())),
}
_FOLDABLE = frozenset({"Const", "Convert", "Sqrt", *_ELEMENTWISE, *_MOVING})

# How many inputs the operations take that can be converted.
_INPUTS = {
    **dict.fromkeys(("Parameter", "Const"), range(1)),
    **dict.fromkeys(
        ("Convert", "Erf", "Result", "ShapeOf", "SoftMax", "Sqrt", "Tanh"), range(1, 2)
    ),
    **dict.fromkeys(("Gelu", "MVN", "Squeeze"), range(1, 3)),
    **dict.fromkeys((*_ELEMENTWISE, "MatMul", "ReduceMean", "ReduceProd", "Reshape"), range(2, 3)),
    **dict.fromkeys(("Split", "SquaredDifference", "Transpose", "Unsqueeze"), range(2, 3)),
    "VariadicSplit": range(3, 4),
    "Gather": range(3, 4),
    "StridedSlice": range(3, 5),
    "FakeQuantize": range(5, 6),
    "Concat": range(1, 9),
}

Rule = Callable[["Network", Layer], Iterator[Layer]]


class Network:
    """Layers by id, every one after those it reads."""

    def __init__(self, graph: Graph) -> None:
        self.layers = dict(graph.layers)
        self._folded: dict[Value, Array] = {}
        self._folded_bytes = 0
        self._index()
        self._check()
        self._skip_float_converts()
        self._index()

    def apply(self, rule: Rule) -> None:
        """Offer every layer to `rule`; what it yields takes the place of the layers of the same
        ids."""
        for number in list(self.layers):
            for layer in rule(self, self.layers[number]):
                for value in self.layers[layer.id].inputs:
                    self._readers[value].discard(layer.id)
                for value in layer.inputs:
                    self._readers.setdefault(value, set()).add(layer.id)
                self.layers[layer.id] = layer
                self._folded.pop((layer.id, 0), None)
        self._index()

    def source(self, value: Value, *types: str) -> Layer | None:
        """The layer a value comes from, if it is one of `types`."""
        layer = self.layers[value[0]]
        return layer if layer.type in types else None

    def readers(self, value: Value) -> list[Layer]:
        return [self.layers[number] for number in sorted(self._readers.get(value, ()))]

    def sole_reader(self, layer: Layer, kind: str) -> Layer | None:
        """The one layer of type `kind` that reads a layer's first output, if nothing else does."""
        readers = self.readers((layer.id, 0))
        return readers[0] if len(readers) == 1 and readers[0].type == kind else None

    def operand(self, layer: Layer) -> tuple[Value, Array] | None:
        """Of a layer with a constant among its two inputs: the other input, and the constant."""
        if len(layer.inputs) != 2:
            return None
        left, right = layer.inputs
        if (array := self.constant(right)) is not None:
            return left, array
        if layer.type in ("Add", "Multiply") and (array := self.constant(left)) is not None:
            return right, array
        return None

    def scalar(self, value: Value) -> float | None:
        array = self.constant(value)
        return float(array.item()) if array is not None and array.size == 1 else None

    def constant(self, value: Value) -> Array | None:
        """The value if it depends on constants alone, otherwise None."""
        if value[0] not in self._constant:
            return None
        waiting = [value]
        while waiting:  # a stack of our own, for a hostile chain may be longer than Python's
            layer = self.layers[waiting[-1][0]]
            missing = [source for source in layer.inputs if source not in self._folded]
            if waiting[-1] in self._folded:
                waiting.pop()
            elif missing:
                waiting += missing
            else:
                self._folded[waiting.pop()] = self._fold(layer)
        return self._folded[value]

    def _fold(self, layer: Layer) -> Array:
        try:
            with np.errstate(all="ignore"):
                array = self._compute(layer, [self._folded[value] for value in layer.inputs])
        except (ValueError, TypeError) as error:
            raise IRError(f"The constants of the {layer} do not fit together.") from error
        if array.dtype.kind == "f":
            array = array.astype(np.float32, copy=False)
        elif array.dtype == np.uint64:
            array = array.astype(np.int64)
        if array is not layer.constants.get("value"):  # which is a view of the .bin
            self._folded_bytes += array.nbytes
        if self._folded_bytes > MAX_FOLDED_BYTES:
            raise IRError(f"The constants up to the {layer} take more memory than any BERT needs.")
        return array

    def _compute(self, layer: Layer, inputs: list[Array]) -> Array:
        if layer.type == "Const":
            return layer.constants["value"]
        if layer.type == "Convert":
            return inputs[0].astype(DTYPES.get(layer.outputs[0].dtype, "O"))
        if layer.type == "Sqrt":
            return np.asarray(np.sqrt(inputs[0]))
        left, right = inputs
        if layer.type in _MOVING:
            return _MOVING[layer.type](left, right)
        if prod(np.broadcast_shapes(left.shape, right.shape)) > MAX_ELEMENTS:
            raise ValueError("too large")
        return np.asarray(_ELEMENTWISE[layer.type](left, right))

    def _index(self) -> None:
        """Drop what no Result depends on, Parameters apart, which are the model's interface; see
        who reads whom."""
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
            if layer.type in _FOLDABLE and all(
                source in self._constant for source, _ in layer.inputs
            ):
                self._constant.add(number)

    def _check(self) -> None:
        for layer in self.layers.values():
            if layer.type not in _INPUTS:
                raise IRError(
                    f"The {layer} cannot be converted: "
                    f"the operation {layer.type} is not known here."
                )
            outputs = len(layer.outputs) == 1 or layer.type in ("Result", "Split", "VariadicSplit")
            if len(layer.inputs) not in _INPUTS[layer.type] or not outputs:
                raise IRError(
                    f"The {layer} has {len(layer.inputs)} inputs and {len(layer.outputs)} outputs, "
                    "which does not fit its operation."
                )

    def _skip_float_converts(self) -> None:
        through: dict[Value, Value] = {}
        for number, layer in self.layers.items():
            inputs = tuple(through.get(value, value) for value in layer.inputs)
            self.layers[number] = replace(layer, inputs=inputs)
            if layer.type == "Convert" and len(inputs) == 1 and len(layer.outputs) == 1:
                source, output = inputs[0]
                if {self.layers[source].outputs[output].dtype, layer.outputs[0].dtype} <= FLOATS:
                    through[number, 0] = inputs[0]
