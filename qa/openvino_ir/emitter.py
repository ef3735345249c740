"""A network of an IR's operations as ONNX nodes, exact and fast on ONNX Runtime's CPU kernels.

Exact: the codes of a FakeQuantize are round((x - low) / step), those of QuantizeLinear round(x /
step) + zero, and -low / step is seldom a whole number. What is missing is added to x, and what it
leaves over is added after: neither costs a node where a bias is near. So every tensor has an
`offset` still to be added to it, which biases take in and norms and softmaxes forget; a lone
reader's wish is added to a bias ahead of it (`_shift`).

Fast: chosen by the time of one window of 384 tokens through a graph of the small model's form with
random weights, on two cores with ONNX Runtime 1.31 (medians of three interleaved runs of each):
* MatMulIntegerToFloat with its bias, which leaves no fusion to luck and no Add of the bias to be
  run.
* QAttention, which multiplies query, key and value out of one int8 matrix and keeps heads apart
  without Transposes: 75 ms a window, against 81 with MultiHeadAttention and 86 with MatMul, Softmax
  and Transpose.
* a - (-b) before a LayerNormalization: an Add there becomes SkipLayerNormalization, 1.5 ms each
  against 0.2.
* Weights are int8 always: the product of two uint8 matrices has a kernel several times slower.
* Nothing runs to compute a shape, and no Softmax is flattened to two axes.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from qa.openvino_ir.file import MICROSOFT, OnnxFile
from qa.openvino_ir.graph import IRError, Layer
from qa.openvino_ir.inference import Shapes
from qa.openvino_ir.network import FLOATS, Network
from qa.openvino_ir.patterns import EXACT
from qa.openvino_ir.shapes import BATCH, SEQUENCE
from qa.openvino_ir.values import Codes, Tensor, Values, scalar_if_one

_PAIRS = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Power": "Pow"}


class Emitter:
    def __init__(self, network: Network, file: OnnxFile, budget: int) -> None:
        """`budget` is how many bytes of initializers there may be."""
        self._network = network
        self._shapes = Shapes(network)
        self._file = file
        self._values = Values(network, self._shapes, file, budget)
        self._rules: dict[str, Callable[[Layer], Tensor | Codes]] = {
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
            "Transpose": self._transpose,
            **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), self._reshape),
            **dict.fromkeys(("Erf", "Sqrt", "Tanh"), self._alone),
            **dict.fromkeys(_PAIRS, self._pair),
        }

    def emit(self, inputs: dict[int, str], outputs: dict[int, str]) -> None:
        """All layers; the inputs and outputs of the model by their layers' ids."""
        for number, name in inputs.items():
            self._parameter(self._network.layers[number], name)
        for name in outputs.values():
            self._file.reserve(name)
        for layer in self._network.layers.values():
            value = (layer.id, 0)
            if layer.type in ("Split", "VariadicSplit"):
                self._split(layer)
            elif (
                layer.type in self._rules
                and self._network.constant(value) is None
                and self._shapes.numbers(value) is None
            ):
                self._values.known[value] = self._rules[layer.type](layer)
        for number, name in outputs.items():
            self._result(self._network.layers[number], name)

    def _parameter(self, layer: Layer, name: str) -> None:
        """Ids and masks come as int64, whatever the .xml says, for that is what tokenizers make."""
        self._file.input(name, TensorProto.INT64, ("batch", "sequence"))
        if layer.outputs[0].dtype in FLOATS:
            name = self._file.node("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)
        self._values.known[layer.id, 0] = Tensor(name)

    def _result(self, layer: Layer, name: str) -> None:
        axes = {BATCH: "batch", SEQUENCE: "sequence"}
        shape = self._shapes.of(layer.inputs[0])
        self._file.output(
            self._values.tensor(layer.inputs[0]).name,
            name,
            TensorProto.FLOAT,
            [axes.get(dim) or self._shapes.sizes.of(dim) for dim in shape],
        )

    # --------------------------------------------------------------------------------------------
    # Quantized

    def _shift(self, layer: Layer) -> float:
        """What can be added to the result for nothing because the one reader, a FakeQuantize, wants
        it added."""
        reader = self._network.sole_reader(layer, "FakeQuantize")
        return self._values.grid(reader).shift if reader is not None else 0.0

    def _fake_quantize(self, layer: Layer) -> Codes:
        grid = self._values.grid(layer)
        tensor = self._values.adjustable(layer.inputs[0])
        name, shift = tensor.name, tensor.offset + grid.shift
        if abs(shift) > EXACT * grid.step:
            name = self._file.node(
                "Add", [name, self._values.float32(shift, "shift")], f"{layer.name}.shifted"
            )
        inputs = [name, self._values.float32(grid.step, "step"), self._values.uint8(grid.zero)]
        if grid.top == 255:
            name = self._file.node("QuantizeLinear", inputs, layer.name)
        else:  # which saturates at 255 only
            name = self._file.node("QuantizeLinear", inputs, f"{layer.name}.unbounded")
            name = self._file.node("Min", [name, self._values.uint8(grid.top)], layer.name)
        return Codes(name, grid.scale, grid.zero, grid.offset)

    def _linear(self, layer: Layer) -> Tensor:
        codes, zero, scale = (layer.constants[key] for key in ("codes", "zero", "scale"))
        value = self._values.value(layer.inputs[0])
        shift = self._shift(layer)
        sums = (codes.sum(axis=0, dtype=np.int64) - len(codes) * zero.astype(np.int64)) * scale
        bias = self._values.float32(
            layer.constants["bias"] + value.offset * sums + shift, f"{layer.name}.bias"
        )
        if isinstance(value, Codes):
            inputs = [
                value.name,
                self._values.int8(codes, f"{layer.name}.weight"),
                self._values.float32(value.scale, "scale"),
                self._values.float32(scalar_if_one(scale), f"{layer.name}.scale"),
                self._values.uint8(value.zero),
                self._values.int8(scalar_if_one(zero), f"{layer.name}.zero"),
                bias,
            ]
            name = self._file.node("MatMulIntegerToFloat", inputs, layer.name, domain=MICROSOFT)
        else:
            weight = self._values.floats(layer, f"{layer.name}.weight")
            name = self._file.node("MatMul", [value.name, weight], f"{layer.name}.product")
            name = self._file.node("Add", [name, bias], layer.name)
        return Tensor(name, -shift)

    def _self_attention(self, layer: Layer) -> Tensor:
        codes, scale, bias = (layer.constants[key] for key in ("codes", "scale", "bias"))
        value, mask = self._values.value(layer.inputs[0]), self._values.tensor(layer.inputs[1])
        if not isinstance(value, Codes):
            raise IRError(f"The {layer} does not read a quantized tensor.")
        shift = self._shift(layer)
        bias = bias + value.offset * codes.sum(axis=0, dtype=np.int64) * scale
        # The weights of a context sum to one, so it moves as the values do.
        bias[2 * (len(bias) // 3) :] += shift
        inputs = [
            value.name,
            self._values.int8(codes, f"{layer.name}.weight"),
            self._values.float32(bias, f"{layer.name}.bias"),
            self._values.float32(value.scale, "scale"),
            self._values.float32(scale, f"{layer.name}.scale"),
            self._values.int32(mask.name),
            self._values.uint8(value.zero),
            self._values.int8(np.array(0, np.int8), f"{layer.name}.zero"),
        ]
        attributes = {
            "num_heads": int(layer.constants["heads"]),
            "scale": float(layer.constants["factor"]),
            "mask_filter_value": float(layer.constants["penalty"]),
        }
        name = self._file.node("QAttention", inputs, layer.name, domain=MICROSOFT, **attributes)
        return Tensor(name, -shift)

    def _gather(self, layer: Layer) -> Tensor:
        """Rows of a table that stays as it is stored: int8 codes, or float16."""
        table, rows = (
            self._network.layers[layer.inputs[0][0]],
            self._values.tensor(layer.inputs[1]).name,
        )
        if table.type != "Weight":
            stored = table.constants.get("value")
            name = (
                self._values.initializer(stored, table.name)
                if stored is not None and stored.dtype.kind == "f"
                else self._values.tensor(layer.inputs[0]).name
            )
            name = self._file.node("Gather", [name, rows], f"{layer.name}.rows")
            return Tensor(self._file.node("Cast", [name], layer.name, to=TensorProto.FLOAT))
        name = self._values.initializer(table.constants["codes"], f"{table.name}.codes")
        name = self._file.node("Gather", [name, rows], f"{layer.name}.codes")
        name = self._file.node("Cast", [name], f"{layer.name}.cast", to=TensorProto.FLOAT)
        for operator, key in (("Sub", "zero"), ("Mul", "scale")):
            array = table.constants[key]
            if key == "scale" or array.any():
                operand = self._values.float32(scalar_if_one(array), f"{table.name}.{key}")
                if (
                    array.ndim == len(self._shapes.of(layer.inputs[0])) and len(array) > 1
                ):  # a row each
                    operand = self._file.node("Gather", [operand, rows], f"{layer.name}.{key}")
                name = self._file.node(operator, [name, operand], f"{layer.name}.{operator}")
        return Tensor(name)

    # --------------------------------------------------------------------------------------------
    # Floats

    def _layer_norm(self, layer: Layer) -> Tensor:
        tensor = self._values.adjustable(layer.inputs[0])  # a norm forgets any offset
        shape, shift = self._shapes.of(layer.inputs[0]), self._shift(layer)
        gamma, beta = layer.constants["gamma"], layer.constants["beta"] + shift
        width = shape[-1].factor if shape and shape[-1].fixed else 0
        if not width or {gamma.size, beta.size} - {1, width}:
            raise IRError(f"The {layer} does not scale the {width} columns it is given.")
        inputs = [
            tensor.name,
            self._values.float32(np.broadcast_to(gamma, (width,)), f"{layer.name}.gamma"),
            self._values.float32(np.broadcast_to(beta, (width,)), f"{layer.name}.beta"),
        ]
        epsilon = float(layer.constants["epsilon"])
        name = self._file.node("LayerNormalization", inputs, layer.name, axis=-1, epsilon=epsilon)
        return Tensor(name, -shift)

    def _gelu(self, layer: Layer) -> Tensor:
        tanh = layer.attributes.get("approximation_mode", "ERF").upper() == "TANH"
        tensor = self._values.tensor(layer.inputs[0])
        approximate = "tanh" if tanh else "none"
        return Tensor(self._file.node("Gelu", [tensor.name], layer.name, approximate=approximate))

    def _softmax(self, layer: Layer) -> Tensor:
        tensor = self._values.adjustable(layer.inputs[0])  # a softmax forgets any offset
        return Tensor(
            self._file.node("Softmax", [tensor.name], layer.name, axis=layer.whole("axis", 1))
        )

    def _alone(self, layer: Layer) -> Tensor:
        return Tensor(
            self._file.node(layer.type, [self._values.tensor(layer.inputs[0]).name], layer.name)
        )

    def _pair(self, layer: Layer) -> Tensor:
        if layer.type == "Add" and self._network.sole_reader(layer, "LayerNorm") is not None:
            return self._sum_for_norm(layer)
        read = self._values.adjustable if layer.type == "Add" else self._values.tensor
        tensors = [read(value) for value in layer.inputs]
        names = [
            self._values.cut(tensor, value, layer)
            for tensor, value in zip(tensors, layer.inputs, strict=True)
        ]
        name = self._file.node(_PAIRS[layer.type], names, layer.name)
        return Tensor(name, sum(tensor.offset for tensor in tensors))

    def _sum_for_norm(self, layer: Layer) -> Tensor:
        """a + b before a norm, out of ONNX Runtime's reach: as a - (-b), which codes can be had as
        for nothing, otherwise as a Sum, a little slower than an Add."""
        left, right = layer.inputs
        first, codes = self._values.adjustable(left), self._values.value(right)
        if isinstance(codes, Codes):
            second, operator = self._values.dequantized(codes, -1), "Sub"
        else:
            second, operator = codes, "Sum"
        names = [self._values.cut(first, left, layer), self._values.cut(second, right, layer)]
        return Tensor(self._file.node(operator, names, layer.name), first.offset + second.offset)

    def _matmul(self, layer: Layer) -> Tensor:
        """A product of two tensors, as FusedMatMul: a MatMul of two dequantized tensors is what
        ONNX Runtime turns back into a product of uint8 by uint8."""
        names = [self._values.tensor(value).name for value in layer.inputs]
        turned = {
            "transA": int(layer.flag("transpose_a")),
            "transB": int(layer.flag("transpose_b")),
        }
        return Tensor(self._file.node("FusedMatMul", names, layer.name, domain=MICROSOFT, **turned))

    def _reduce_mean(self, layer: Layer) -> Tensor:
        axes = self._shapes.axes(layer, 1, len(self._shapes.of(layer.inputs[0])))
        inputs = [self._values.tensor(layer.inputs[0]).name, self._values.int64(axes, "axes")]
        keep = int(layer.flag("keep_dims"))
        return Tensor(self._file.node("ReduceMean", inputs, layer.name, keepdims=keep))

    def _convert(self, layer: Layer) -> Tensor:
        tensor = self._values.tensor(layer.inputs[0])
        if layer.outputs[0].dtype in FLOATS:
            return Tensor(self._file.node("Cast", [tensor.name], layer.name, to=TensorProto.FLOAT))
        if layer.outputs[0].dtype in ("i64", "i32"):
            return Tensor(self._file.node("Cast", [tensor.name], layer.name, to=TensorProto.INT64))
        raise IRError(f"The {layer} makes {layer.outputs[0].dtype}, which cannot be converted.")

    # --------------------------------------------------------------------------------------------
    # Moving numbers about; codes move as floats do

    def _reshape(self, layer: Layer) -> Tensor | Codes:
        value = self._values.value(layer.inputs[0])
        target = self._values.target(
            self._shapes.of(layer.inputs[0]), self._shapes.of((layer.id, 0))
        )
        return replace(value, name=self._file.node("Reshape", [value.name, target], layer.name))

    def _transpose(self, layer: Layer) -> Tensor | Codes:
        value = self._values.value(layer.inputs[0])
        order = self._shapes.axes(layer, 1, len(self._shapes.of(layer.inputs[0])))
        return replace(
            value, name=self._file.node("Transpose", [value.name], layer.name, perm=order)
        )

    def _split(self, layer: Layer) -> None:
        value = self._values.value(layer.inputs[0])
        (axis,) = self._shapes.axes(layer, 1, len(self._shapes.of(layer.inputs[0])))
        parts = [
            self._shapes.of((layer.id, index))[axis].factor for index in range(len(layer.outputs))
        ]
        names = [f"{layer.name}.{index}" for index in range(len(parts))]
        inputs = [value.name, self._values.int64(parts, "parts")]
        for index, name in enumerate(self._file.nodes("Split", inputs, names, axis=axis)):
            self._values.known[layer.id, index] = replace(value, name=name)
