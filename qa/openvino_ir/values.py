"""What the values of a network are in an ONNX file: tensors, codes, initializers and open sizes.

The emitter of nodes asks here for its inputs. Nothing is made before it is asked for, nor twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from onnx import TensorProto

from qa.openvino_ir.file import OnnxFile
from qa.openvino_ir.graph import Array, IRError, Layer, Value
from qa.openvino_ir.inference import Shapes
from qa.openvino_ir.network import Network
from qa.openvino_ir.shapes import BATCH, ONE, SEQUENCE, Dim, Shape


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file; its values are still to be increased by `offset`."""

    name: str
    offset: float = 0.0


@dataclass(frozen=True)
class Codes:
    """A quantized tensor: (uint8 - zero) · scale + offset."""

    name: str
    scale: float
    zero: int
    offset: float


@dataclass(frozen=True)
class Grid:
    """What a FakeQuantize does: the codes are round((x + shift) / step) + zero, from 0 to `top`;
    they stand for (code - zero) · scale + offset."""

    step: float
    shift: float
    zero: int
    top: int
    scale: float
    offset: float


class Values:
    def __init__(self, network: Network, shapes: Shapes, file: OnnxFile, budget: int) -> None:
        """`budget` is how many bytes of initializers there may be."""
        self.known: dict[Value, Tensor | Codes] = {}
        self._network = network
        self._shapes = shapes
        self._file = file
        self._budget = budget
        self._made: dict[tuple[str, str], str] = {}

    def value(self, value: Value) -> Tensor | Codes:
        """An input of a layer; a constant becomes an initializer when it is first read."""
        if value not in self.known:
            layer = self._network.layers[value[0]]
            array = self._network.constant(value)
            if layer.type == "Weight":
                self.known[value] = Tensor(self.floats(layer, layer.name))
            elif array is not None:
                self.known[value] = Tensor(self.initializer(array, layer.name))
            else:
                raise IRError(f"The {layer} makes sizes, with which something else is computed.")
        return self.known[value]

    def tensor(self, value: Value) -> Tensor:
        """The value as numbers, its offset added."""
        tensor = self.adjustable(value)
        if not tensor.offset:
            return tensor
        name = self._file.node(
            "Add", [tensor.name, self.float32(tensor.offset, "offset")], f"{tensor.name}.exact"
        )
        return Tensor(name)

    def adjustable(self, value: Value) -> Tensor:
        """The value as numbers."""
        emitted = self.value(value)
        return self.dequantized(emitted) if isinstance(emitted, Codes) else emitted

    def dequantized(self, codes: Codes, sign: int = 1) -> Tensor:
        key = (codes.name, "DequantizeLinear" if sign > 0 else "negative")
        if key not in self._made:
            inputs = [codes.name, self.float32(sign * codes.scale, "scale"), self.uint8(codes.zero)]
            self._made[key] = self._file.node("DequantizeLinear", inputs, ".".join(key))
        return Tensor(self._made[key], codes.offset)

    def initializer(self, array: Array, name: str, *, shared: bool = True) -> str:
        if self._file.initializer_bytes + array.nbytes > self._budget:
            raise IRError(
                "The .xml reads its constants so often that the model would be many times its .bin."
            )
        return self._file.initializer(array, name, shared=shared)

    def int8(self, array: Array, name: str) -> str:
        """Weights of a product, or their zero point: never shared, for ONNX Runtime refuses to make
        uint8 (qa/engines.py) of what two products read."""
        return self.initializer(array, name, shared=False)

    def float32(self, number: Array | float, name: str) -> str:
        return self.initializer(np.asarray(number, np.float32), name)

    def uint8(self, number: int) -> str:
        return self.initializer(np.array(number, np.uint8), "code")

    def int64(self, numbers: Sequence[int], name: str) -> str:
        return self.initializer(np.array(numbers, np.int64), name)

    def floats(self, layer: Layer, name: str) -> str:
        """8-bit weights that meet floats, as floats."""
        constants = layer.constants
        codes = self.initializer(constants["codes"], f"{name}.codes")
        floats = self._file.node("Cast", [codes], f"{name}.cast", to=TensorProto.FLOAT)
        if constants["zero"].any():
            floats = self._file.node(
                "Sub", [floats, self.float32(constants["zero"], "zero")], f"{name}.sub"
            )
        return self._file.node("Mul", [floats, self.float32(constants["scale"], "scale")], name)

    def cut(self, tensor: Tensor, value: Value, layer: Layer) -> str:
        """What is frozen at a size that is open (the embeddings of all positions), cut to the size
        of this run."""
        shape, wanted = self._shapes.of(value), self._shapes.of((layer.id, 0))
        name = tensor.name
        for axis, (size, full) in enumerate(
            zip(shape, wanted[len(wanted) - len(shape) :], strict=True)
        ):
            if size not in (full, ONE):
                bounds = [self.int64([0], "first"), self.size(full), self.int64([axis], "axis")]
                name = self._file.node("Slice", [name, *bounds], f"{tensor.name}.cut")
        return name

    def target(self, before: Shape, after: Shape) -> str:
        """The vector a Reshape wants: 0 for an axis that stays in its place, -1 for one that is
        left over."""
        padded = (*before, *[ONE] * len(after))
        numbers = [
            dim.factor if dim.fixed else 0 if dim == old else -1
            for dim, old in zip(after, padded, strict=False)
        ]
        if numbers.count(-1) <= 1:
            return self.int64(numbers, "shape")
        parts = [
            self.size(dim) if number == -1 else self.int64([number], "size")
            for number, dim in zip(numbers, after, strict=True)
        ]
        return self._file.node("Concat", parts, "shape", axis=0)

    def size(self, dim: Dim) -> str:
        """A vector of one number: the batch or the sequence length of this run."""
        if dim not in (BATCH, SEQUENCE):
            raise IRError(
                "The .xml joins the batch and the sequence in a way that cannot be kept open."
            )
        key = ("batch" if dim == BATCH else "sequence", "size")
        if key not in self._made:
            axis = 0 if dim == BATCH else 1
            self._made[key] = self._file.node(
                "Shape", [self._file.first_input], ".".join(key), start=axis, end=axis + 1
            )
        return self._made[key]

    def int32(self, name: str) -> str:
        """A mask as QAttention wants it."""
        key = (name, "int32")
        if key not in self._made:
            self._made[key] = self._file.node("Cast", [name], ".".join(key), to=TensorProto.INT32)
        return self._made[key]

    def grid(self, layer: Layer) -> Grid:
        """The grid of a FakeQuantize of one range."""
        limits = [self._network.scalar(value) for value in layer.inputs[1:]]
        levels = layer.whole("levels", 0)
        low, high, out_low, out_high = (
            float("nan") if limit is None else limit for limit in limits
        )
        step, scale = (high - low) / max(levels - 1, 1), (out_high - out_low) / max(levels - 1, 1)
        if (
            not 2 <= levels <= 256
            or not isfinite(low + step + out_low + scale)
            or min(step, scale) <= 0
        ):
            raise IRError(f"The {layer} does not have one range of numbers and 2 to 256 levels.")
        zero = min(max(round(-low / step), 0), 255)
        # A signed range is meant to be symmetric; float16 limits are not quite. OpenVINO's
        # threshold.
        ratio = 1 if levels % 2 else 128 / 127
        symmetric = abs(out_low + ratio * out_high) < 0.002 * abs(out_high)
        offset = 0.0 if symmetric else out_low + zero * scale
        return Grid(step, -low - zero * step, zero, levels - 1, scale, offset)


def scalar_if_one(array: Array) -> Array:
    return array.reshape(()) if array.size == 1 else array
