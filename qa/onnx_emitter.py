"""Patterns -> ONNX nodes.

TODO docstring
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from onnx import TensorProto

from qa.ir_graph import DTYPES, Array, IRError, Layer, Value
from qa.ir_patterns import EXACT, Patterns
from qa.ir_shapes import BATCH, ONE, SEQUENCE, Dim, Shape, Sizes, broadcast, fixed, product, reshaped
from qa.onnx_file import MICROSOFT, OnnxFile

_UNARY = ("Erf", "Tanh", "Sqrt")
_BINARY = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Power": "Pow"}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph; its values are still to be increased by `offset`."""

    name: str
    shape: Shape
    offset: float = 0.0
    integer: bool = False


@dataclass(frozen=True)
class Codes:
    """A quantized tensor: (uint8 - zero) · scale + offset."""

    name: str
    shape: Shape
    scale: float
    zero: int
    offset: float


@dataclass(frozen=True)
class Integers:
    """The known value of a vector of sizes."""

    dims: Shape


Emitted = Tensor | Codes | Integers


@dataclass(frozen=True)
class Grid:
    """A FakeQuantize with one range: round((x + shift) / step) + zero, at most `top`, are the codes of
    (code - zero) · scale + offset."""

    step: float
    zero: int
    shift: float
    top: int
    scale: float
    offset: float


class Emitter:
    def __init__(self, patterns: Patterns, file: OnnxFile, sizes: Sizes, limit: int) -> None:
        self._p = patterns
        self._file = file
        self._sizes = sizes
        self._limit = limit
        self._values: dict[Value, Emitted] = {}
        self._axes: dict[Dim, str] = {}
        self._masks: dict[str, str] = {}  # masks as int32
        self._first_input = ""
        self._rules: dict[str, Callable[[Layer], Sequence[Emitted]]] = {
            "FakeQuantize": self._fake_quantize,
            "Linear": self._linear,
            "SelfAttention": self._self_attention,
            "LayerNorm": self._layer_norm,
            "Gelu": self._gelu,
            "SoftMax": self._softmax,
            "MatMul": self._matmul,
            "Gather": self._gather,
            "Convert": self._convert,
            "ReduceMean": self._reduce_mean,
            "Reshape": self._reshape,
            "Transpose": self._transpose,
            "Squeeze": self._squeeze,
            "Unsqueeze": self._unsqueeze,
            "VariadicSplit": self._split,
            "Split": self._split,
            "ShapeOf": self._shape_of,
            "StridedSlice": self._strided_slice,
            "ReduceProd": self._reduce_prod,
            "Concat": self._concat,
            **dict.fromkeys(_UNARY, self._unary),
            **dict.fromkeys(_BINARY, self._binary),
        }

    def emit(self, inputs: dict[int, str], outputs: dict[int, str]) -> None:
        """All layers; `inputs` and `outputs` name the model's inputs and outputs by their layers' ids."""
        for name in (*inputs.values(), *outputs.values()):
            self._file.name(name)
        for number, layer in self._p.layers.items():
            if layer.type == "Parameter":
                self._parameter(layer, inputs[number])
            elif layer.type == "Result":
                self._result(layer, outputs[number])
            elif layer.type not in ("Const", "Weight") and self._p.constant((number, 0)) is None:
                rule = self._rules.get(layer.type)
                if rule is None:
                    raise IRError(f"The {layer} cannot be converted: the operation {layer.type} is not known here.")
                self._keep(layer, rule(layer))

    # --------------------------------------------------------------------------------------------
    # Values

    def _keep(self, layer: Layer, values: Sequence[Emitted]) -> None:
        for index, (value, port) in enumerate(zip(values, layer.outputs, strict=True)):
            if not isinstance(value, Integers) and port.shape:
                shape = self._sizes.shape(value.shape)
                if len(shape) != len(port.shape) or any(
                    declared not in (-1, size) for size, declared in zip(shape, port.shape, strict=True)
                ):
                    raise IRError(
                        f"The {layer} says its result has the shape {list(port.shape)}, "
                        f"but its inputs make it {list(shape)}."
                    )
            self._values[layer.id, index] = value

    def _value(self, value: Value) -> Emitted:
        """What a layer's input is in the graph; a constant becomes an initializer here."""
        if value not in self._values:
            layer = self._p.layers[value[0]]
            if layer.type == "Weight":
                self._values[value] = self._weight(layer)
            else:
                array = self._p.constant(value)
                assert array is not None, "layers are emitted in order"
                self._values[value] = self._initializer(array, layer.name)
        return self._values[value]

    def _initializer(self, array: Array, name: str) -> Tensor:
        if self._file.bytes + array.nbytes > self._limit:
            raise IRError("The .xml uses its constants so often that the model would be many times its .bin.")
        return Tensor(
            self._file.initializer(array, name), fixed(array.shape), integer=array.dtype.kind != "f"
        )

    def _constant(self, array: Array | float, name: str) -> str:
        return self._initializer(np.asarray(array, np.float32), name).name

    def _int64(self, numbers: Sequence[int], name: str) -> str:
        return self._initializer(np.array(numbers, np.int64), name).name

    def _tensor(self, value: Value) -> Tensor:
        """The value as a tensor of numbers, its offset added."""
        tensor = self._unadjusted(value)
        if not tensor.offset:
            return tensor
        name = self._file.node(
            "Add", [tensor.name, self._constant(tensor.offset, "offset")], f"{tensor.name}.exact"
        )
        self._values[value] = exact = replace(tensor, name=name, offset=0.0)
        return exact

    def _unadjusted(self, value: Value) -> Tensor:
        """The value as a tensor of numbers."""
        emitted = self._value(value)
        if isinstance(emitted, Integers):
            raise IRError(f"The {self._p.layers[value[0]]} is used as numbers to compute with.")
        if isinstance(emitted, Tensor):
            return emitted
        return self._dequantized(emitted)

    def _dequantized(self, codes: Codes, sign: int = 1) -> Tensor:
        inputs = [codes.name, self._constant(sign * codes.scale, "scale"), self._uint8(codes.zero)]
        name = self._file.node("DequantizeLinear", inputs, f"{codes.name}.float")
        return Tensor(name, codes.shape, codes.offset)

    def _uint8(self, zero: int) -> str:
        return self._file.initializer(np.array(zero, np.uint8), "zero")

    def _axis(self, dim: Dim) -> str:
        """A vector of one number: the batch or the sequence length of this run."""
        if dim not in self._axes:
            index = {BATCH: 0, SEQUENCE: 1}.get(dim)
            if index is None:
                raise IRError("The .xml joins the batch and the sequence in a way that cannot be undone.")
            self._axes[dim] = self._file.node(
                "Shape", [self._first_input], ("batch", "sequence")[index] + ".size", start=index, end=index + 1
            )
        return self._axes[dim]

    def _sole_reader(self, layer: Layer, kind: str) -> Layer | None:
        readers = self._p.readers((layer.id, 0))
        return readers[0] if len(readers) == 1 and readers[0].type == kind else None

    # --------------------------------------------------------------------------------------------
    # Inputs and outputs

    def _parameter(self, layer: Layer, name: str) -> None:
        """Ids and masks are int64 whatever the .xml says, as every tokenizer makes them."""
        if len(layer.outputs) != 1 or len(layer.outputs[0].shape) != 2:
            raise IRError(f"The {layer} is not an input of a batch and a sequence.")
        self._file.input(name, TensorProto.INT64, ("batch", "sequence"))
        self._first_input = self._first_input or name
        if DTYPES.get(layer.outputs[0].dtype, "f").endswith(("f2", "f4", "f8", "f")):
            name = self._file.node("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)
            self._values[layer.id, 0] = Tensor(name, (BATCH, SEQUENCE))
        else:
            self._values[layer.id, 0] = Tensor(name, (BATCH, SEQUENCE), integer=True)

    def _result(self, layer: Layer, name: str) -> None:
        tensor = self._tensor(layer.inputs[0])
        if tensor.integer:
            raise IRError(f"The {layer} is of whole numbers, where a model of this family has scores.")
        self._file.alias(tensor.name, name)
        self._file.output(
            name, TensorProto.FLOAT, [_axis_name(dim) for dim in tensor.shape]
        )

    # --------------------------------------------------------------------------------------------
    # Quantization

    def _grid(self, layer: Layer) -> Grid:
        limits = [self._p.scalar(value) for value in layer.inputs[1:]]
        levels = layer.attributes.get("levels", "")
        if len(limits) != 4 or not levels.isdecimal() or not 2 <= int(levels) <= 256:
            raise IRError(f"The {layer} has {levels or 'no'} levels, where 2 to 256 can be converted.")
        low, high, out_low, out_high = (float("nan") if limit is None else limit for limit in limits)
        step, scale = (high - low) / (int(levels) - 1), (out_high - out_low) / (int(levels) - 1)
        if not (isfinite(step + scale + low + out_low) and step > 0 and scale > 0):
            raise IRError(f"The {layer} has no single range of numbers, low to high, to quantize to.")
        exact = -low / step
        zero = min(max(round(exact), 0), 255)
        return Grid(step, zero, (exact - zero) * step, int(levels) - 1, scale, out_low + zero * scale)

    def _shift(self, layer: Layer) -> float:
        """What may be added to the result for free because the quantization that alone reads it wants it added."""
        reader = self._sole_reader(layer, "FakeQuantize")
        return self._grid(reader).shift if reader is not None else 0.0

    def _fake_quantize(self, layer: Layer) -> Sequence[Emitted]:
        grid = self._grid(layer)
        tensor = self._unadjusted(layer.inputs[0])
        name, shift = tensor.name, tensor.offset + grid.shift
        if abs(shift) > EXACT * grid.step:
            name = self._file.node("Add", [name, self._constant(shift, "shift")], f"{layer.name}.shifted")
        wanted = layer.name if grid.top == 255 else f"{layer.name}.unclipped"
        name = self._file.node(
            "QuantizeLinear", [name, self._constant(grid.step, "step"), self._uint8(grid.zero)], wanted
        )
        if grid.top < 255:
            name = self._file.node("Min", [name, self._uint8(grid.top)], layer.name)
        return [Codes(name, tensor.shape, grid.scale, grid.zero, grid.offset)]

    def _weight(self, layer: Layer) -> Tensor:
        """A weight that no Linear or Gather took: as float32."""
        codes, zero, scale = (layer.constants[key] for key in ("codes", "zero", "scale"))
        name = self._initializer(codes, layer.name).name
        name = self._file.node("Cast", [name], f"{layer.name}.cast", to=TensorProto.FLOAT)
        if zero.any():
            name = self._file.node("Sub", [name, self._constant(zero, "zero")], f"{layer.name}.centred")
        name = self._file.node("Mul", [name, self._constant(scale, "scale")], layer.name)
        return Tensor(name, fixed(codes.shape))

    def _linear(self, layer: Layer) -> Sequence[Emitted]:
        codes, zero, scale, bias = (layer.constants[key] for key in ("codes", "zero", "scale", "bias"))
        value = self._value(layer.inputs[0])
        if isinstance(value, Integers):
            raise IRError(f"The {layer} multiplies a shape.")
        self._check_width(layer, value.shape, codes.shape[0])
        shift = self._shift(layer)
        sums = (codes.sum(axis=0, dtype=np.int64) - codes.shape[0] * zero.astype(np.int64)) * scale
        bias = self._constant(bias + value.offset * sums + shift, f"{layer.name}.bias")
        if isinstance(value, Codes):
            inputs = [
                value.name,
                self._initializer(codes, f"{layer.name}.weight").name,
                self._constant(value.scale, "scale"),
                self._constant(_scalar_if_one(scale), f"{layer.name}.scale"),
                self._uint8(value.zero),
                self._initializer(_scalar_if_one(zero), f"{layer.name}.zero").name,
                bias,
            ]
            name = self._file.node("MatMulIntegerToFloat", inputs, layer.name, domain=MICROSOFT)
        else:
            weight = self._weight(replace(layer, name=f"{layer.name}.weight"))
            name = self._file.node("MatMul", [value.name, weight.name], f"{layer.name}.product")
            name = self._file.node("Add", [name, bias], layer.name)
        return [Tensor(name, (*value.shape[:-1], Dim(codes.shape[1])), -shift)]

    def _self_attention(self, layer: Layer) -> Sequence[Emitted]:
        codes, scale, bias = (layer.constants[key] for key in ("codes", "scale", "bias"))
        value, mask = self._value(layer.inputs[0]), self._tensor(layer.inputs[1])
        assert isinstance(value, Codes), "the pattern asks for a quantized tensor"
        self._check_width(layer, value.shape, codes.shape[0])
        width = codes.shape[1] // 3
        shift = self._shift(layer)
        bias = bias + value.offset * (codes.sum(axis=0, dtype=np.int64) * scale)
        bias[2 * width :] += shift  # the weights of a context sum to one, so it moves as its values do
        if mask.name not in self._masks:
            self._masks[mask.name] = self._file.node(
                "Cast", [mask.name], f"{mask.name}.int32", to=TensorProto.INT32
            )
        inputs = [
            value.name,
            self._initializer(codes, f"{layer.name}.weight").name,
            self._constant(bias, f"{layer.name}.bias"),
            self._constant(value.scale, "scale"),
            self._constant(scale, f"{layer.name}.scale"),
            self._masks[mask.name],
            self._uint8(value.zero),
            self._initializer(np.array(0, np.int8), "zero").name,
        ]
        name = self._file.node(
            "QAttention",
            inputs,
            layer.name,
            domain=MICROSOFT,
            num_heads=int(layer.constants["heads"]),
            scale=float(layer.constants["factor"]),
            mask_filter_value=float(layer.constants["penalty"]),
        )
        return [Tensor(name, (*value.shape[:-1], Dim(width)), -shift)]

    def _check_width(self, layer: Layer, shape: Shape, width: int) -> None:
        if not shape or shape[-1] != Dim(width):
            given = self._sizes.of(shape[-1]) if shape else 1
            raise IRError(f"The {layer} expects {width} columns, but is given {given}.")

    # --------------------------------------------------------------------------------------------
    # Floats

    def _layer_norm(self, layer: Layer) -> Sequence[Emitted]:
        tensor = self._unadjusted(layer.inputs[0])  # a norm forgets any offset
        shift = self._shift(layer)
        gamma, beta = layer.constants["gamma"], layer.constants["beta"] + shift
        if not tensor.shape or not tensor.shape[-1].fixed:
            raise IRError(f"The {layer} is not the norm of a last axis of fixed width.")
        width = tensor.shape[-1].factor
        if {gamma.size, beta.size} - {1, width}:
            raise IRError(f"The {layer} scales {max(gamma.size, beta.size)} columns, but is given {width}.")
        inputs = [
            tensor.name,
            self._constant(np.broadcast_to(gamma, (width,)), f"{layer.name}.gamma"),
            self._constant(np.broadcast_to(beta, (width,)), f"{layer.name}.beta"),
        ]
        epsilon = float(layer.constants["epsilon"])
        name = self._file.node("LayerNormalization", inputs, layer.name, axis=-1, epsilon=epsilon)
        return [Tensor(name, tensor.shape, -shift)]

    def _gelu(self, layer: Layer) -> Sequence[Emitted]:
        tensor = self._tensor(layer.inputs[0])
        tanh = layer.attributes.get("approximation_mode", "ERF").upper() == "TANH"
        name = self._file.node(
            "Gelu", [tensor.name], layer.name, **({"approximate": "tanh"} if tanh else {})
        )
        return [replace(tensor, name=name)]

    def _unary(self, layer: Layer) -> Sequence[Emitted]:
        tensor = self._tensor(layer.inputs[0])
        return [replace(tensor, name=self._file.node(layer.type, [tensor.name], layer.name))]

    def _binary(self, layer: Layer) -> Sequence[Emitted]:
        if layer.type == "Add" and self._sole_reader(layer, "LayerNorm") is not None:
            return [self._sum_for_norm(layer)]
        read = self._unadjusted if layer.type == "Add" else self._tensor
        left, right = (read(value) for value in layer.inputs)
        shape = broadcast(left.shape, right.shape, self._sizes, f"The {layer}")
        names = [self._cut(tensor, shape) for tensor in (left, right)]
        name = self._file.node(_BINARY[layer.type], names, layer.name)
        return [Tensor(name, shape, left.offset + right.offset, left.integer and right.integer)]

    def _sum_for_norm(self, layer: Layer) -> Tensor:
        """a + b before a norm, as a - (-b): ONNX Runtime would join an Add and the norm after it into its
        SkipLayerNormalization, which takes several times as long as the two. Where b is not quantized, and so
        cannot be had negative for nothing, a Sum does (a little slower than an Add)."""
        left, codes = self._unadjusted(layer.inputs[0]), self._value(layer.inputs[1])
        right = self._dequantized(codes, -1) if isinstance(codes, Codes) else self._unadjusted(layer.inputs[1])
        shape = broadcast(left.shape, right.shape, self._sizes, f"The {layer}")
        if isinstance(codes, Codes):
            name = self._file.node("Sub", [left.name, right.name], layer.name)
        else:
            names = [self._cut(tensor, shape) for tensor in (left, right)]
            name = self._file.node("Sum", names, layer.name)
        return Tensor(name, shape, left.offset + right.offset)

    def _cut(self, tensor: Tensor, shape: Shape) -> str:
        """A tensor frozen at a size that is open (position embeddings, say), cut to the size of this run."""
        name = tensor.name
        for axis, (size, wanted) in enumerate(zip(tensor.shape, shape[len(shape) - len(tensor.shape) :], strict=True)):
            if size not in (wanted, ONE):
                bounds = [self._int64([0], "first"), self._axis(wanted), self._int64([axis], "axis")]
                name = self._file.node("Slice", [name, *bounds], f"{tensor.name}.cut")
        return name

    def _softmax(self, layer: Layer) -> Sequence[Emitted]:
        tensor = self._unadjusted(layer.inputs[0])  # a softmax forgets any offset
        axis = self._whole(layer, "axis", 1)
        name = self._file.node("Softmax", [tensor.name], layer.name, axis=axis)
        return [replace(tensor, name=name, offset=0.0)]

    def _matmul(self, layer: Layer) -> Sequence[Emitted]:
        """A product of two tensors. As FusedMatMul, which ONNX Runtime does not turn back into a slow product of
        uint8 by uint8 where both are quantized, and which transposes in passing."""
        left, right = (self._tensor(value) for value in layer.inputs)
        turned = [int(layer.attributes.get(key) in ("true", "1")) for key in ("transpose_a", "transpose_b")]
        if min(len(left.shape), len(right.shape)) < 2:
            raise IRError(f"The {layer} multiplies a vector, which no model of this family does.")
        a = (*left.shape[:-2], *left.shape[-2:][:: -1 if turned[0] else 1])
        b = (*right.shape[:-2], *right.shape[-2:][:: -1 if turned[1] else 1])
        if self._sizes.of(a[-1]) != self._sizes.of(b[-2]):
            raise IRError(f"The {layer} multiplies matrices that do not fit.")
        shape = (*broadcast(a[:-2], b[:-2], self._sizes, f"The {layer}"), a[-2], b[-1])
        name = self._file.node(
            "FusedMatMul", [left.name, right.name], layer.name, domain=MICROSOFT, transA=turned[0], transB=turned[1]
        )
        return [Tensor(name, shape)]

    def _reduce_mean(self, layer: Layer) -> Sequence[Emitted]:
        tensor = self._tensor(layer.inputs[0])
        axes = self._numbers(layer, 1, len(tensor.shape))
        keep = layer.attributes.get("keep_dims", "false") in ("true", "1")
        name = self._file.node(
            "ReduceMean", [tensor.name, self._int64(axes, "axes")], layer.name, keepdims=int(keep)
        )
        kept = (ONE,) if keep else ()
        shape = [(dim,) if axis not in axes else kept for axis, dim in enumerate(tensor.shape)]
        return [Tensor(name, sum(shape, ()))]

    def _convert(self, layer: Layer) -> Sequence[Emitted]:
        value = self._value(layer.inputs[0])
        if isinstance(value, Integers):
            return [value]
        if layer.outputs[0].dtype in ("f16", "f32", "f64"):
            tensor = self._tensor(layer.inputs[0])
            name = self._file.node("Cast", [tensor.name], layer.name, to=TensorProto.FLOAT)
            return [Tensor(name, tensor.shape)]
        if layer.outputs[0].dtype in ("i32", "i64") and isinstance(value, Tensor) and value.integer:
            return [value]
        raise IRError(f"The {layer} makes {layer.outputs[0].dtype}, which cannot be converted.")

    def _gather(self, layer: Layer) -> Sequence[Emitted]:
        """Rows of a table, which stays as it is stored: int8 with a scale, or float16."""
        data, indices = layer.inputs[:2]
        axis = self._numbers(layer, 2, None)[0] if len(layer.inputs) > 2 else self._whole(layer, "axis", 0)
        if self._whole(layer, "batch_dims", 0):
            raise IRError(f"The {layer} has batch_dims, which cannot be converted.")
        known = self._p.constant(indices)
        if (sizes := self._integers(data)) is not None and known is not None:
            chosen = tuple(sizes[int(i)] for i in known.ravel()) if (np.abs(known) < len(sizes)).all() else ()
            if axis != 0 or not chosen:
                raise IRError(f"The {layer} takes sizes that a shape does not have.")
            return [Integers(chosen)]
        rows = self._tensor(indices)
        if axis != 0 or not rows.integer:
            raise IRError(f"The {layer} does not take rows by their numbers.")
        table = self._p.layers[data[0]]
        if table.type == "Weight":
            return [self._gather_weight(layer, table, rows)]
        stored = table.constants.get("value") if table.type == "Const" else None
        if stored is not None and stored.dtype.kind == "f":
            name = self._initializer(stored, table.name).name
            wide = fixed(stored.shape)
        else:
            tensor = self._tensor(data)
            name, wide = tensor.name, tensor.shape
        name = self._file.node("Gather", [name, rows.name], f"{layer.name}.rows")
        name = self._file.node("Cast", [name], layer.name, to=TensorProto.FLOAT)
        return [Tensor(name, (*rows.shape, *wide[1:]))]

    def _gather_weight(self, layer: Layer, table: Layer, rows: Tensor) -> Tensor:
        codes, zero, scale = (table.constants[key] for key in ("codes", "zero", "scale"))
        name = self._file.node(
            "Gather", [self._initializer(codes, table.name).name, rows.name], f"{layer.name}.codes"
        )
        name = self._file.node("Cast", [name], f"{layer.name}.cast", to=TensorProto.FLOAT)
        for operator, array in (("Sub", zero.astype(np.float32)), ("Mul", scale)):
            if operator == "Sub" and not array.any():
                continue
            operand = self._constant(_scalar_if_one(array), f"{table.name}.{operator}")
            if array.size > 1 and array.ndim == codes.ndim and array.shape[0] > 1:
                operand = self._file.node("Gather", [operand, rows.name], f"{layer.name}.{operator}.rows")
            name = self._file.node(operator, [name, operand], f"{layer.name}.{operator}")
        return Tensor(name, (*rows.shape, *fixed(codes.shape[1:])))

    # --------------------------------------------------------------------------------------------
    # Moving numbers about; codes move as floats do

    def _moved(self, value: Value) -> Tensor | Codes:
        emitted = self._value(value)
        if isinstance(emitted, Integers):
            raise IRError(f"The {self._p.layers[value[0]]} is used as numbers to compute with.")
        return emitted

    def _reshape(self, layer: Layer) -> Sequence[Emitted]:
        value = self._moved(layer.inputs[0])
        wanted = self._integers(layer.inputs[1])
        if wanted is None:
            raise IRError(f"The {layer} computes its shape in a way that is not known here.")
        frozen = self._sizes.shape(value.shape)
        target = [self._sizes.of(dim) for dim in wanted]
        if layer.attributes.get("special_zero") in ("true", "1"):
            target = [frozen[i] if size == 0 and i < len(frozen) else size for i, size in enumerate(target)]
        if target.count(-1) == 1:
            rest = int(np.prod([size for size in target if size != -1]))
            target[target.index(-1)] = int(np.prod(frozen)) // max(rest, 1)
        shape = reshaped(value.shape, tuple(target), self._sizes, f"The {layer}")
        name = self._file.node("Reshape", [value.name, self._target(value.shape, shape)], layer.name)
        return [replace(value, name=name, shape=shape)]

    def _target(self, before: Shape, after: Shape) -> str:
        """The vector a Reshape wants: 0 for an axis that stays in its place, -1 for one that is left over."""
        numbers = [
            dim.factor if dim.fixed else 0 if dim == old else -1
            for dim, old in zip(after, (*before, *(ONE,) * len(after)), strict=False)
        ]
        if numbers.count(-1) <= 1:
            return self._int64(numbers, "shape")
        parts = [
            self._axis(dim) if number == -1 else self._int64([number], "size")
            for number, dim in zip(numbers, after, strict=True)
        ]
        return self._file.node("Concat", parts, "shape", axis=0)

    def _transpose(self, layer: Layer) -> Sequence[Emitted]:
        value = self._moved(layer.inputs[0])
        order = self._numbers(layer, 1, len(value.shape))
        if sorted(order) != list(range(len(value.shape))):
            raise IRError(f"The {layer} does not put the axes of its input in another order.")
        name = self._file.node("Transpose", [value.name], layer.name, perm=order)
        return [replace(value, name=name, shape=tuple(value.shape[axis] for axis in order))]

    def _squeeze(self, layer: Layer) -> Sequence[Emitted]:
        if (dims := self._integers(layer.inputs[0])) is not None:
            return [Integers(dims)]
        value = self._moved(layer.inputs[0])
        axes = self._numbers(layer, 1, len(value.shape))
        if any(value.shape[axis] != ONE for axis in axes):
            raise IRError(f"The {layer} removes an axis that is not of size 1.")
        name = self._file.node("Squeeze", [value.name, self._int64(axes, "axes")], layer.name)
        shape = tuple(dim for axis, dim in enumerate(value.shape) if axis not in axes)
        return [replace(value, name=name, shape=shape)]

    def _unsqueeze(self, layer: Layer) -> Sequence[Emitted]:
        if (dims := self._integers(layer.inputs[0])) is not None:
            return [Integers(dims)]
        value = self._moved(layer.inputs[0])
        count = self._p.constant(layer.inputs[1])
        rank = len(value.shape) + (count.size if count is not None else 0)
        axes = self._numbers(layer, 1, rank)
        name = self._file.node("Unsqueeze", [value.name, self._int64(axes, "axes")], layer.name)
        rest = iter(value.shape)
        shape = tuple(ONE if axis in axes else next(rest) for axis in range(rank))
        return [replace(value, name=name, shape=shape)]

    def _split(self, layer: Layer) -> Sequence[Emitted]:
        value = self._moved(layer.inputs[0])
        (axis,) = self._numbers(layer, 1, len(value.shape))
        whole = value.shape[axis]
        if layer.type == "VariadicSplit":
            lengths = self._numbers(layer, 2, None)
            if lengths.count(-1) == 1 and whole.fixed:
                lengths[lengths.index(-1)] = whole.factor - sum(lengths) - 1
        else:
            count = self._whole(layer, "num_splits", 1)
            lengths = [whole.factor // count] * count
        if not whole.fixed or sum(lengths) != whole.factor or len(lengths) != len(layer.outputs):
            raise IRError(f"The {layer} does not split its input into its outputs.")
        names = [f"{layer.name}.{index}" for index in range(len(lengths))]
        names = self._file.nodes("Split", [value.name, self._int64(lengths, "lengths")], names, axis=axis)
        return [
            replace(value, name=name, shape=(*value.shape[:axis], Dim(length), *value.shape[axis + 1 :]))
            for name, length in zip(names, lengths, strict=True)
        ]

    # --------------------------------------------------------------------------------------------
    # Shapes that the IR computes: known here, so nothing is emitted for them

    def _integers(self, value: Value) -> Shape | None:
        """A vector of sizes, if it is one."""
        if (array := self._p.constant(value)) is not None:
            return tuple(Dim(int(size)) for size in array.ravel()) if array.dtype.kind in "iu" else None
        emitted = self._values.get(value)
        return emitted.dims if isinstance(emitted, Integers) else None

    def _shape_of(self, layer: Layer) -> Sequence[Emitted]:
        return [Integers(self._moved(layer.inputs[0]).shape)]

    def _strided_slice(self, layer: Layer) -> Sequence[Emitted]:
        dims = self._integers(layer.inputs[0])
        bounds = [self._numbers(layer, index, None) for index in range(1, len(layer.inputs))]
        if dims is None or any(len(bound) != 1 for bound in bounds):
            raise IRError(f"The {layer} slices something other than a shape.")
        masks = [layer.attributes.get(key, "") in ("1", "1,") for key in ("begin_mask", "end_mask")]
        begin, end = (None if mask else bound[0] for mask, bound in zip(masks, bounds, strict=False))
        return [Integers(dims[slice(begin, end, bounds[2][0] if len(bounds) > 2 else None)])]

    def _reduce_prod(self, layer: Layer) -> Sequence[Emitted]:
        dims = self._integers(layer.inputs[0])
        if dims is None:
            raise IRError(f"The {layer} multiplies something other than sizes.")
        return [Integers((product(dims),))]

    def _concat(self, layer: Layer) -> Sequence[Emitted]:
        parts = [self._integers(value) for value in layer.inputs]
        if any(part is None for part in parts):
            raise IRError(f"The {layer} joins something other than sizes.")
        return [Integers(tuple(dim for part in parts if part for dim in part))]

    # --------------------------------------------------------------------------------------------
    # Attributes and constant inputs

    def _numbers(self, layer: Layer, index: int, rank: int | None) -> list[int]:
        """The whole numbers of a constant input; as axes of a tensor of `rank` axes where that is given."""
        array = self._p.constant(layer.inputs[index]) if index < len(layer.inputs) else None
        if array is None or array.dtype.kind not in "iu" or array.size > 8:
            raise IRError(f"The {layer} has no constant whole numbers at input {index}.")
        numbers = [int(number) for number in array.ravel()]
        if rank is None:
            return numbers
        if any(not -rank <= number < rank for number in numbers):
            raise IRError(f"The {layer} names an axis that its input does not have.")
        return [number % rank for number in numbers]

    def _whole(self, layer: Layer, attribute: str, default: int) -> int:
        text = layer.attributes.get(attribute, str(default))
        if not text.removeprefix("-").isdecimal() or len(text) > 3:
            raise IRError(f"The {layer} has no whole number “{attribute}”.")
        return int(text)


def _scalar_if_one(array: Array) -> Array:
    return array.reshape(()) if array.size == 1 else array


def _axis_name(dim: Dim) -> str | int:
    return {BATCH: "batch", SEQUENCE: "sequence"}.get(dim, dim.factor)
