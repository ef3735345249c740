"""The values of layers that depend on constants alone.

Floats come out as float32 whatever type they are stored in, and whole numbers as int64 where they are uint64.
What may be folded is bounded, so that no .xml can ask for more memory than its .bin justifies.
"""

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from qa.ir_graph import DTYPES, Array, IRError, Layer, Value

# A BERT folds scalars, norms and biases, its position embeddings and, where they are not yet integers, its weights.
MAX_ELEMENTS = 64_000_000
MAX_TOTAL_BYTES = 256 << 20

FLOATS = frozenset({"f16", "f32", "f64"})

_ELEMENTWISE: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Divide": np.divide,
    "Power": np.power,
}
_SHAPING: dict[str, Callable[[Array, Array], Array]] = {
    "Reshape": lambda a, shape: a.reshape(tuple(shape.ravel())),
    "Transpose": lambda a, order: a.transpose(tuple(order.ravel())),
    "Squeeze": lambda a, axes: a.squeeze(tuple(axes.ravel())),
    "Unsqueeze": lambda a, axes: np.expand_dims(a, tuple(axes.ravel())),
}


class Folding:
    """Folds on demand and remembers."""

    def __init__(self, layers: Mapping[int, Layer]) -> None:
        self._layers = layers
        self._values: dict[Value, Array] = {}
        self._bytes = 0
        self._constant: set[int] = set()
        for number, layer in layers.items():
            known = (
                layer.type in ("Const", "Convert", "Sqrt") or layer.type in _ELEMENTWISE | _SHAPING
            )
            if known and all(source in self._constant for source, _ in layer.inputs):
                self._constant.add(number)

    def constant(self, value: Value) -> Array | None:
        """The value if it depends on constants alone, otherwise None."""
        if value[0] not in self._constant:
            return None
        waiting = [value]
        while waiting:  # a stack of our own: a hostile chain may be longer than Python's
            if waiting[-1] in self._values:
                waiting.pop()
                continue
            layer = self._layers[waiting[-1][0]]
            if missing := [needed for needed in layer.inputs if needed not in self._values]:
                waiting += missing
                continue
            array = self._fold(layer)
            if array is not layer.constants.get("value"):  # which is a view of the .bin
                self._bytes += array.nbytes
                if self._bytes > MAX_TOTAL_BYTES:
                    raise IRError(
                        f"The constants up to the {layer} fold to more than a model of this family needs."
                    )
            self._values[waiting.pop()] = array
        return self._values[value]

    def _fold(self, layer: Layer) -> Array:
        inputs = [self._values[value] for value in layer.inputs]
        try:
            with np.errstate(all="ignore"):
                array = self._compute(layer, inputs)
        except (ValueError, TypeError) as error:
            raise IRError(f"The constants of the {layer} do not fit together.") from error
        if array.dtype.kind == "f":
            return array.astype(np.float32, copy=False)
        return array.astype(np.int64) if array.dtype == np.uint64 else array

    def _compute(self, layer: Layer, inputs: list[Array]) -> Array:
        if layer.type == "Const":
            return layer.constants["value"]
        if layer.type == "Convert":
            return inputs[0].astype(DTYPES[layer.outputs[0].dtype])
        if layer.type == "Sqrt":
            return np.asarray(np.sqrt(inputs[0]))
        left, right = inputs
        if layer.type in _SHAPING:
            return _SHAPING[layer.type](left, right)
        if prod(np.broadcast_shapes(left.shape, right.shape)) > MAX_ELEMENTS:
            raise ValueError("too large")
        return np.asarray(_ELEMENTWISE[layer.type](left, right))
