"""The open shape of every value of a network, and the sizes it computes.

An IR states shapes, but of the size it was frozen at; here they follow from the inputs [batch,
sequence], and what the IR states is held against them. The chains of layers that only compute sizes
(ShapeOf, StridedSlice, ReduceProd, Concat, ...) are evaluated, so that none of them has to run.
"""

from collections.abc import Callable, Sequence
from math import prod

from qa.openvino_ir.graph import IRError, Layer, Value
from qa.openvino_ir.network import Network
from qa.openvino_ir.shapes import (
    BATCH,
    ONE,
    SEQUENCE,
    Dim,
    Shape,
    Sizes,
    broadcast,
    fixed,
    product,
    reshaped,
)

_SAME = ("FakeQuantize", "LayerNorm", "Gelu", "SoftMax", "Convert", "Erf", "Tanh", "Sqrt", "Result")
_PAIRS = ("Add", "Subtract", "Multiply", "Divide", "Power", "SquaredDifference")


class Shapes:
    def __init__(self, network: Network) -> None:
        self.sizes = _frozen(network)
        self._network = network
        self._shapes: dict[Value, Shape] = {}
        self._numbers: dict[Value, Shape] = {}  # of vectors of sizes: the sizes
        rules: dict[str, Callable[[Layer], Sequence[Shape]]] = {
            "Parameter": lambda _: [(BATCH, SEQUENCE)],
            "Const": lambda layer: [fixed(layer.constants["value"].shape)],
            "Weight": lambda layer: [fixed(layer.constants["codes"].shape)],
            "Linear": self._linear,
            "SelfAttention": self._linear,
            "MatMul": self._matmul,
            "Gather": self._gather,
            "ReduceMean": self._reduce_mean,
            "Reshape": self._reshape,
            "Transpose": self._transpose,
            "Squeeze": self._squeeze,
            "Unsqueeze": self._unsqueeze,
            "Split": self._split,
            "VariadicSplit": self._split,
            "ShapeOf": lambda layer: self._known(layer, self.of(layer.inputs[0])),
            "StridedSlice": self._strided_slice,
            "ReduceProd": lambda layer: self._known(layer, (product(self._given(layer, 0)),)),
            "Concat": self._concat,
            **dict.fromkeys(_SAME, lambda layer: [self.of(layer.inputs[0])]),
            **dict.fromkeys(_PAIRS, self._pair),
        }
        for layer in network.layers.values():
            shapes = rules[layer.type](layer)
            if layer.type != "Result":
                self._check(layer, shapes)
            for index, shape in enumerate(shapes):
                self._shapes[layer.id, index] = shape
            if (
                layer.type in ("Convert", "Squeeze", "Unsqueeze")
                and layer.inputs[0] in self._numbers
            ):
                self._numbers[layer.id, 0] = self._numbers[layer.inputs[0]]

    def of(self, value: Value) -> Shape:
        return self._shapes[value]

    def numbers(self, value: Value) -> Shape | None:
        """The elements of a vector of whole numbers or sizes, where they are known."""
        if value in self._numbers:
            return self._numbers[value]
        array = self._network.constant(value)
        if array is None or array.dtype.kind not in "iu" or array.size > 8:
            return None
        return tuple(Dim(int(number)) for number in array.ravel())

    def whole(self, layer: Layer, index: int) -> list[int]:
        """The whole numbers of a constant input."""
        numbers = self.numbers(layer.inputs[index]) if index < len(layer.inputs) else None
        if numbers is None or not all(number.fixed for number in numbers):
            raise IRError(f"The {layer} has no constant whole numbers at its input {index}.")
        return [number.factor for number in numbers]

    def axes(self, layer: Layer, index: int, rank: int) -> list[int]:
        """The axes a constant input names, counted from the front."""
        axes = self.whole(layer, index)
        if any(not -rank <= axis < rank for axis in axes):
            raise IRError(f"The {layer} names an axis that there is not.")
        return [axis % rank for axis in axes]

    def _check(self, layer: Layer, shapes: Sequence[Shape]) -> None:
        """What the .xml states must be what follows; it states nothing of an open size."""
        if len(shapes) != len(layer.outputs):
            raise IRError(
                f"The {layer} has {len(layer.outputs)} outputs, but splits into {len(shapes)}."
            )
        for shape, port in zip(shapes, layer.outputs, strict=True):
            sizes = self.sizes.shape(shape)
            stated = [
                size if given == -1 else given
                for size, given in zip(sizes, port.shape, strict=False)
            ]
            if port.shape and (len(sizes) != len(port.shape) or stated != list(sizes)):
                raise IRError(
                    f"The {layer} says that its result has the shape {list(port.shape)}, "
                    f"but it follows from its inputs that it is {list(sizes)}."
                )

    def _known(self, layer: Layer, numbers: Shape) -> Sequence[Shape]:
        self._numbers[layer.id, 0] = numbers
        return [(Dim(len(numbers)),)]

    def _given(self, layer: Layer, index: int) -> Shape:
        numbers = self.numbers(layer.inputs[index])
        if numbers is None:
            raise IRError(f"The {layer} computes with something other than sizes.")
        return numbers

    # --------------------------------------------------------------------------------------------
    # Numbers

    def _pair(self, layer: Layer) -> Sequence[Shape]:
        left, right = (self.of(value) for value in layer.inputs)
        return [broadcast(left, right, self.sizes, f"The {layer}")]

    def _linear(self, layer: Layer) -> Sequence[Shape]:
        shape, (rows, columns) = self.of(layer.inputs[0]), layer.constants["codes"].shape
        if not shape or shape[-1] != Dim(rows):
            raise IRError(
                f"The {layer} multiplies {rows} columns, "
                f"but is given the shape {list(self.sizes.shape(shape))}."
            )
        return [(*shape[:-1], Dim(columns if layer.type == "Linear" else columns // 3))]

    def _matmul(self, layer: Layer) -> Sequence[Shape]:
        a, b = (self.of(value) for value in layer.inputs)
        if min(len(a), len(b)) < 2:
            raise IRError(f"The {layer} multiplies a vector, which no BERT does.")
        rows, inner = a[-2:][::-1] if layer.flag("transpose_a") else a[-2:]
        same, columns = b[-2:][::-1] if layer.flag("transpose_b") else b[-2:]
        if self.sizes.of(inner) != self.sizes.of(same):
            raise IRError(f"The {layer} multiplies matrices that do not fit.")
        return [(*broadcast(a[:-2], b[:-2], self.sizes, f"The {layer}"), rows, columns)]

    def _gather(self, layer: Layer) -> Sequence[Shape]:
        (axis,) = self.axes(layer, 2, len(self.of(layer.inputs[0]))) or (0,)
        if axis or layer.whole("batch_dims", 0):
            raise IRError(f"The {layer} does not take rows, which is all that can be converted.")
        table, rows = layer.inputs[:2]
        if table in self._numbers:
            numbers = self._numbers[table]
            chosen = self.axes(layer, 1, len(numbers))
            self._numbers[layer.id, 0] = tuple(numbers[index] for index in chosen)
        return [(*self.of(rows), *self.of(table)[1:])]

    def _reduce_mean(self, layer: Layer) -> Sequence[Shape]:
        shape = self.of(layer.inputs[0])
        axes = self.axes(layer, 1, len(shape))
        left = [ONE if axis in axes else dim for axis, dim in enumerate(shape)]
        return [
            tuple(
                dim for axis, dim in enumerate(left) if layer.flag("keep_dims") or axis not in axes
            )
        ]

    # --------------------------------------------------------------------------------------------
    # Moving numbers about

    def _reshape(self, layer: Layer) -> Sequence[Shape]:
        shape, wanted = self.of(layer.inputs[0]), self._given(layer, 1)
        sizes = self.sizes.shape(shape)
        target = [self.sizes.of(dim) for dim in wanted]
        if layer.flag("special_zero"):
            target = [
                sizes[index] if size == 0 and index < len(sizes) else size
                for index, size in enumerate(target)
            ]
        if target.count(-1) == 1:
            rest = prod(size for size in target if size != -1)
            target[target.index(-1)] = prod(sizes) // max(rest, 1)
        return [reshaped(shape, tuple(target), self.sizes, f"The {layer}")]

    def _transpose(self, layer: Layer) -> Sequence[Shape]:
        shape = self.of(layer.inputs[0])
        order = self.axes(layer, 1, len(shape))
        if sorted(order) != list(range(len(shape))):
            raise IRError(f"The {layer} does not name each axis once.")
        return [tuple(shape[axis] for axis in order)]

    def _squeeze(self, layer: Layer) -> Sequence[Shape]:
        shape = self.of(layer.inputs[0])
        axes = self.axes(layer, 1, len(shape))
        if any(shape[axis] != ONE for axis in axes):
            raise IRError(f"The {layer} removes an axis that is not of size 1.")
        return [tuple(dim for axis, dim in enumerate(shape) if axis not in axes)]

    def _unsqueeze(self, layer: Layer) -> Sequence[Shape]:
        shape = self.of(layer.inputs[0])
        rank = len(shape) + len(self.whole(layer, 1))
        axes = self.axes(layer, 1, rank)
        if len(set(axes)) < len(axes):
            raise IRError(f"The {layer} names an axis twice.")
        left = iter(shape)
        return [tuple(ONE if axis in axes else next(left) for axis in range(rank))]

    def _split(self, layer: Layer) -> Sequence[Shape]:
        shape = self.of(layer.inputs[0])
        axis = (self.axes(layer, 1, len(shape)) or [0])[0]
        whole = shape[axis]
        if layer.type == "VariadicSplit":
            parts = self.whole(layer, 2)
            if parts.count(-1) == 1:
                parts[parts.index(-1)] = whole.factor - sum(parts) - 1
        else:
            parts = [whole.factor // max(layer.whole("num_splits", 1), 1)] * layer.whole(
                "num_splits", 1
            )
        if not whole.fixed or sum(parts) != whole.factor or min(parts, default=0) < 1:
            raise IRError(
                f"The {layer} does not split its axis of {self.sizes.of(whole)} into whole parts."
            )
        return [(*shape[:axis], Dim(part), *shape[axis + 1 :]) for part in parts]

    # --------------------------------------------------------------------------------------------
    # Sizes

    def _strided_slice(self, layer: Layer) -> Sequence[Shape]:
        numbers = self._given(layer, 0)
        bounds = [self.whole(layer, index) for index in range(1, len(layer.inputs))]
        if any(len(bound) != 1 for bound in bounds) or bounds[2:] not in ([], [[1]]):
            raise IRError(f"The {layer} does not take a run of sizes.")
        masks = [layer.attributes.get(key, "") for key in ("begin_mask", "end_mask")]
        begin, end = (
            None if mask == "1" else bound[0] for mask, bound in zip(masks, bounds, strict=False)
        )
        chosen = numbers[begin:end]
        if layer.attributes.get("shrink_axis_mask", "") == "1":
            chosen = numbers[begin:][:1]
        return self._known(layer, chosen)

    def _concat(self, layer: Layer) -> Sequence[Shape]:
        parts = [self._given(layer, index) for index in range(len(layer.inputs))]
        return self._known(layer, sum(parts, ()))


def _frozen(network: Network) -> Sizes:
    """The sizes of the inputs, which must agree."""
    stated = {
        layer.outputs[0].shape for layer in network.layers.values() if layer.type == "Parameter"
    }
    if len(stated) != 1 or len(shape := stated.pop()) != 2:
        raise IRError("The inputs of the .xml are not all of one shape [batch, sequence].")
    open_sizes = Sizes()
    batch, sequence = shape
    return Sizes(
        batch if batch > 0 else open_sizes.batch, sequence if sequence > 0 else open_sizes.sequence
    )
