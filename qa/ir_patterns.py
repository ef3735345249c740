"""What a BERT's layers mean: groups of an IR's layers recognised as one operation each.

    Weight          8-bit constant - zero point, times scale       codes, zero, scale
    LayerNorm       MVN or its decomposed form, times, plus        gamma, beta, epsilon
    Gelu            itself or its form with Erf
    Linear          product with a Weight, plus                    codes, zero, scale, bias
    SoftMax         without the Reshapes that flatten it to two axes
    SelfAttention   query, key and value Linears of one quantized  codes, scale, bias (query, key and value
                    tensor, to the heads' contexts side by side    side by side), heads, penalty

A group takes the place (and id) of its last layer, so whatever read that layer now reads the group; what is
left without a reader goes. What is not recognised stays as it was. Nothing here knows ONNX.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from qa.ir_fold import FLOATS, Folding
from qa.ir_graph import Array, Graph, IRError, Layer, Value

ROOT_HALF = sqrt(0.5)
# How far, in steps, a zero may lie from a whole code: one number in a thousand lies nearer to a rounding boundary.
EXACT = 1e-5


class Patterns:
    """Layers by id, every one after those it reads, and who reads whom."""

    def __init__(self, graph: Graph) -> None:
        self.layers = dict(graph.layers)
        self._skip_float_converts()
        self._prune()
        for rule in (_weight, _layer_norm, _gelu, _linear, _softmax, _sink, _self_attention):
            for number in list(self.layers):
                for layer in rule(self, self.layers[number]):
                    self._put(layer)
            self._prune()

    def source(self, value: Value, *types: str) -> Layer | None:
        """The layer a value comes from, if it is one of `types`."""
        layer = self.layers[value[0]]
        return layer if layer.type in types else None

    def readers(self, value: Value) -> list[Layer]:
        return [self.layers[number] for number in sorted(self._readers.get(value, ()))]

    def constant(self, value: Value) -> Array | None:
        """The value if it depends on constants alone, otherwise None."""
        return self._folding.constant(value)

    def operand(self, layer: Layer) -> tuple[Value, Array] | None:
        """Of a layer with a constant among its two inputs: the other input, and the constant."""
        left, right = layer.inputs
        if (array := self.constant(right)) is not None:
            return left, array
        if layer.type in ("Add", "Multiply") and (array := self.constant(left)) is not None:
            return right, array
        return None

    def scalar(self, value: Value) -> float | None:
        array = self.constant(value)
        return float(array.item()) if array is not None and array.size == 1 else None

    def _put(self, layer: Layer) -> None:
        for value in self.layers[layer.id].inputs:
            self._readers[value].discard(layer.id)
        for value in layer.inputs:
            self._readers.setdefault(value, set()).add(layer.id)
        self.layers[layer.id] = layer

    def _prune(self) -> None:
        """Drop what no Result depends on; Parameters stay, for they are the model's interface."""
        kept: set[int] = set()
        waiting = [n for n, layer in self.layers.items() if layer.type in ("Result", "Parameter")]
        while waiting:
            if (number := waiting.pop()) not in kept:
                kept.add(number)
                waiting += [source for source, _ in self.layers[number].inputs]
        self.layers = {number: layer for number, layer in self.layers.items() if number in kept}
        self._readers: dict[Value, set[int]] = {}
        for number, layer in self.layers.items():
            for value in layer.inputs:
                self._readers.setdefault(value, set()).add(number)
        self._folding = Folding(self.layers)

    def _skip_float_converts(self) -> None:
        """Read through every Convert between float types: all floats are computed as float32."""
        through: dict[Value, Value] = {}
        for number, layer in self.layers.items():
            inputs = tuple(through.get(value, value) for value in layer.inputs)
            self.layers[number] = replace(layer, inputs=inputs)
            if layer.type == "Convert" and len(inputs) == 1 and len(layer.outputs) == 1:
                source, output = inputs[0]
                if {self.layers[source].outputs[output].dtype, layer.outputs[0].dtype} <= FLOATS:
                    through[number, 0] = inputs[0]


# ------------------------------------------------------------------------------------------------
# Weights: 8-bit codes with a zero point and a scale


def _weight(p: Patterns, layer: Layer) -> Iterator[Layer]:
    if layer.type == "FakeQuantize" and len(layer.inputs) == 5:
        if (array := p.constant(layer.inputs[0])) is not None and array.ndim >= 2:
            yield from _quantized(p, layer, array)
    elif layer.type == "Multiply":
        for value, other in (layer.inputs, layer.inputs[::-1]):
            codes, zero = _codes(p, value)
            scale = p.constant(other) if codes is not None else None
            if (
                codes is not None
                and scale is not None
                and _spans(codes, scale)
                and _spans(codes, zero)
            ):
                yield _as_weight(layer, codes, zero, scale)
                return


def _codes(p: Patterns, value: Value) -> tuple[Array | None, Array]:
    """The 8-bit constant of "convert" or "convert, subtract zero point", and the zero point."""
    zero = np.zeros((), np.float32)
    if (subtract := p.source(value, "Subtract")) is not None:
        value, given = subtract.inputs[0], p.constant(subtract.inputs[1])
        if given is None:
            return None, zero
        zero = given
    convert = p.source(value, "Convert")
    const = p.source(convert.inputs[0], "Const") if convert is not None else None
    if (
        const is None
        or const.constants["value"].dtype.itemsize != 1
        or (zero != np.round(zero)).any()
    ):
        return None, zero
    return const.constants["value"], zero


def _quantized(p: Patterns, layer: Layer, array: Array) -> Iterator[Layer]:
    """A float weight behind a FakeQuantize whose zero is a whole code becomes those codes; another is folded."""
    ranges = [p.constant(value) for value in layer.inputs[1:]]
    levels = int(layer.attributes.get("levels", "0"))
    if any(limit is None or not _spans(array, limit) for limit in ranges) or not 2 <= levels <= 256:
        return
    low, high, out_low, out_high = (np.asarray(limit, np.float64) for limit in ranges)
    step, scale = (high - low) / (levels - 1), (out_high - out_low) / (levels - 1)
    if (step <= 0).any() or (scale <= 0).any():
        raise IRError(f"The {layer} has an empty range.")
    codes = np.round((np.clip(array, low, high) - low) / step)
    zero = -out_low / scale
    if np.abs(zero - np.round(zero)).max() > EXACT or np.abs(zero - 128).max() > 127:
        folded = (codes * scale + out_low).astype(np.float32)
        yield replace(layer, type="Const", inputs=(), constants={"value": folded})
    else:
        yield _as_weight(layer, codes.astype(np.uint8), np.round(zero), scale)


def _spans(codes: Array, array: Array) -> bool:
    """Whether `array` broadcasts to the shape of `codes` without making it larger."""
    return array.ndim <= codes.ndim and all(
        size in (1, whole)
        for size, whole in zip(array.shape[::-1], codes.shape[::-1], strict=False)
    )


def _as_weight(layer: Layer, codes: Array, zero: Array, scale: Array) -> Layer:
    if (
        codes.dtype == np.uint8
    ):  # the product of two uint8 matrices is several times slower than with int8
        codes, zero = (codes ^ 0x80).view(np.int8), zero - 128
    if np.abs(zero).max(initial=0) > 128:
        raise IRError(f"The {layer} has a zero point outside its 8-bit codes.")
    constants = {"codes": codes, "zero": zero.astype(np.int8), "scale": scale.astype(np.float32)}
    return replace(layer, type="Weight", inputs=(), constants=constants)


# ------------------------------------------------------------------------------------------------
# Layer norms and Gelus


def _layer_norm(p: Patterns, layer: Layer) -> Iterator[Layer]:
    """A bare norm first; the times and the plus that follow it each join when their turn comes."""
    found = _mvn(p, layer) if layer.type == "MVN" else _decomposed_norm(p, layer)
    if found is not None:
        value, epsilon = found
        constants = {"gamma": np.ones(1), "beta": np.zeros(1), "epsilon": np.array(epsilon)}
        yield replace(layer, type="LayerNorm", inputs=(value,), constants=constants)
    elif layer.type in ("Multiply", "Add") and (operand := p.operand(layer)) is not None:
        norm, array = p.source(operand[0], "LayerNorm"), _last_axis(operand[1])
        if norm is None or array is None or len(p.readers(operand[0])) > 1:
            return
        gamma, beta = norm.constants["gamma"], norm.constants["beta"]
        gamma, beta = (gamma * array, beta * array) if layer.type == "Multiply" else (gamma, beta + array)
        yield replace(
            layer,
            type="LayerNorm",
            inputs=norm.inputs,
            constants={**norm.constants, "gamma": gamma, "beta": beta},
        )


def _mvn(p: Patterns, layer: Layer) -> tuple[Value, float]:
    """What an MVN over the last axis normalizes, and its epsilon. Version 1 names no axes: all but the first two."""
    rank = len(layer.outputs[0].shape)
    axes = p.constant(layer.inputs[1]) if len(layer.inputs) > 1 else None
    if axes is not None:
        last = axes.size == 1 and int(axes.item()) in (-1, rank - 1)
    else:
        stated = layer.attributes.get("reduction_axes")
        across = layer.attributes.get("across_channels", "false") in ("true", "1")
        last = stated in ("-1", str(rank - 1)) if stated else rank == 3 and not across
    epsilon = _number(layer, "eps")
    outside = layer.attributes.get("eps_mode", "inside_sqrt").lower() == "outside_sqrt" and epsilon > 1e-9
    if not last or outside or layer.attributes.get("normalize_variance") not in ("true", "1"):
        raise IRError(f"The {layer} is not the norm over the last axis that can be converted.")
    return layer.inputs[0], epsilon


def _decomposed_norm(p: Patterns, layer: Layer) -> tuple[Value, float] | None:
    """(x - mean) / sqrt(variance + epsilon), or times a power of -0.5 -> x and epsilon."""
    if layer.type not in ("Divide", "Multiply") or len(layer.inputs) != 2:
        return None
    for centred, spread in (layer.inputs, layer.inputs[::-1])[: 1 if layer.type == "Divide" else 2]:
        value = _centred(p, centred)
        plus = _root(p, spread, -0.5 if layer.type == "Multiply" else 0.5)
        operand = p.operand(plus) if plus is not None else None
        if value is None or operand is None or operand[1].size != 1:
            continue
        mean = p.source(operand[0], "ReduceMean")
        if mean is not None and _over_last_axis(p, mean) and _square_of(p, mean.inputs[0]) == value:
            return value, float(operand[1].item())
    return None


def _centred(p: Patterns, value: Value) -> Value | None:
    """x of "x - mean of x"."""
    subtract = p.source(value, "Subtract")
    mean = p.source(subtract.inputs[1], "ReduceMean") if subtract is not None else None
    if subtract is None or mean is None or mean.inputs[0] != subtract.inputs[0]:
        return None
    return subtract.inputs[0] if _over_last_axis(p, mean) else None


def _square_of(p: Patterns, value: Value) -> Value | None:
    """x of "(x - mean of x) squared"."""
    layer = p.source(value, "Power", "Multiply", "SquaredDifference")
    if layer is None:
        return None
    if layer.type == "SquaredDifference":
        mean = p.source(layer.inputs[1], "ReduceMean")
        same = mean is not None and mean.inputs[0] == layer.inputs[0] and _over_last_axis(p, mean)
        return layer.inputs[0] if same else None
    if layer.type == "Power" and p.scalar(layer.inputs[1]) != 2:
        return None
    left, right = layer.inputs
    return _centred(p, left) if layer.type == "Power" or left == right else None


def _root(p: Patterns, value: Value, power: float) -> Layer | None:
    """The Add under a square root (or under the given power; a reciprocal root may be 1 / sqrt)."""
    layer = p.source(value, "Sqrt", "Power", "Divide")
    if layer is not None and layer.type == "Divide" and power < 0 and p.scalar(layer.inputs[0]) == 1:
        return _root(p, layer.inputs[1], -power)
    if layer is None or layer.type == "Divide":
        return None
    found = 0.5 if layer.type == "Sqrt" else p.scalar(layer.inputs[1])
    return p.source(layer.inputs[0], "Add") if found == power else None


def _over_last_axis(p: Patterns, layer: Layer) -> bool:
    axes = p.constant(layer.inputs[1])
    rank = len(layer.outputs[0].shape)
    kept = layer.attributes.get("keep_dims", "false") in ("true", "1")
    return axes is not None and axes.size == 1 and int(axes.item()) in (-1, rank - 1) and kept


def _gelu(p: Patterns, layer: Layer) -> Iterator[Layer]:
    """x · 0.5 · (1 + erf(x / √2)), in whatever order it is multiplied."""
    if layer.type != "Multiply":
        return
    factors: list[Value] = []
    waiting = list(layer.inputs)
    while waiting and len(factors) < 4:
        inner = p.source(value := waiting.pop(), "Multiply")
        if inner is not None and len(p.readers(value)) == 1:
            waiting += inner.inputs
        else:
            factors.append(value)
    halves = [value for value in factors if p.scalar(value) == 0.5]
    bells = [value for value in factors if (plus := p.source(value, "Add")) and _erf_of(p, plus) is not None]
    if len(factors) == 3 and len(halves) == 1 and len(bells) == 1:
        (value,) = set(factors) - {*halves, *bells}
        plus = p.source(bells[0], "Add")
        if plus is not None and _erf_of(p, plus) == value:
            yield replace(layer, type="Gelu", inputs=(value,), attributes={"approximation_mode": "ERF"})


def _erf_of(p: Patterns, plus: Layer) -> Value | None:
    """x of "erf(x / √2) + 1"."""
    operand = p.operand(plus)
    erf = p.source(operand[0], "Erf") if operand is not None and operand[1].size == 1 else None
    inner = p.source(erf.inputs[0], "Divide", "Multiply") if erf is not None else None
    if operand is None or operand[1].item() != 1 or inner is None or (scaled := p.operand(inner)) is None:
        return None
    factor = float(scaled[1].item()) if scaled[1].size == 1 else 0.0
    expected = 1 / ROOT_HALF if inner.type == "Divide" else ROOT_HALF
    return scaled[0] if abs(factor - expected) < 1e-3 else None  # 1e-3: the constant may be a float16


# ------------------------------------------------------------------------------------------------
# Linear layers


def _linear(p: Patterns, layer: Layer) -> Iterator[Layer]:
    if layer.type == "MatMul":
        weight = p.source(layer.inputs[1], "Weight")
        if weight is None or layer.attributes.get("transpose_a") in ("true", "1"):
            return
        codes, zero, scale = (weight.constants[key] for key in ("codes", "zero", "scale"))
        if codes.ndim != 2:
            return
        if layer.attributes.get("transpose_b") in ("true", "1"):
            codes, zero, scale = codes.T, np.atleast_2d(zero).T, np.atleast_2d(scale).T
        columns = [_last_axis(zero), _last_axis(scale)]
        if columns[0] is None or columns[1] is None:
            return  # scales along the summed axis do not leave the sum
        constants = {"codes": codes, "zero": columns[0], "scale": columns[1], "bias": np.zeros(codes.shape[1])}
        yield replace(layer, type="Linear", inputs=layer.inputs[:1], constants=constants)
    elif layer.type == "Add" and (operand := p.operand(layer)) is not None:
        linear, bias = p.source(operand[0], "Linear"), _last_axis(operand[1])
        if linear is None or bias is None or len(p.readers(operand[0])) > 1:
            return
        if bias.size not in (1, linear.constants["bias"].size):
            raise IRError(f"The {layer} adds {bias.size} numbers to {linear.constants['bias'].size} columns.")
        constants = {**linear.constants, "bias": linear.constants["bias"] + bias}
        yield replace(layer, type="Linear", inputs=linear.inputs, constants=constants)


def _last_axis(array: Array) -> Array | None:
    """The numbers of an array that varies along its last axis only."""
    return array.ravel() if array.size == (array.shape[-1] if array.ndim else 1) else None


def _number(layer: Layer, attribute: str) -> float:
    try:
        return float(layer.attributes[attribute])
    except (KeyError, ValueError):
        raise IRError(f"The {layer} has no number “{attribute}”.") from None


# ------------------------------------------------------------------------------------------------
# Attention


def _softmax(p: Patterns, layer: Layer) -> Iterator[Layer]:
    """A Softmax over the last axis is the same with the axes before it flattened; so leave them alone."""
    softmax = p.source(layer.inputs[0], "SoftMax") if layer.type == "Reshape" else None
    flat = p.source(softmax.inputs[0], "Reshape") if softmax is not None else None
    if softmax is None or flat is None or len(p.readers(layer.inputs[0])) > 1:
        return
    before = p.layers[flat.inputs[0][0]].outputs[flat.inputs[0][1]]
    inside = flat.outputs[0]
    shape_of = p.source(layer.inputs[1], "ShapeOf")
    restored = layer.outputs[0].shape == before.shape or (
        shape_of is not None and shape_of.inputs[0] == flat.inputs[0]
    )
    same_last = before.shape[-1:] == inside.shape[-1:]
    if restored and same_last and _axis(softmax) == len(inside.shape) - 1:
        yield replace(layer, type="SoftMax", inputs=flat.inputs[:1], attributes={"axis": "-1"})


def _axis(softmax: Layer) -> int:
    axis = int(_number(softmax, "axis")) if "axis" in softmax.attributes else 1
    return axis + len(softmax.outputs[0].shape) if axis < 0 else axis


def _sink(p: Patterns, layer: Layer) -> Iterator[Layer]:
    """Quantize after moving numbers about instead of before: one range for all of them commutes with that."""
    if layer.type not in ("Transpose", "Reshape"):
        return
    quantize = p.source(layer.inputs[0], "FakeQuantize")
    if quantize is None or len(p.readers(layer.inputs[0])) > 1:
        return
    if all(p.scalar(value) is not None for value in quantize.inputs[1:]):
        moved = replace(layer, id=quantize.id, inputs=(quantize.inputs[0], *layer.inputs[1:]))
        yield moved
        yield replace(quantize, id=layer.id, inputs=((quantize.id, 0), *quantize.inputs[1:]), outputs=layer.outputs)


def _self_attention(p: Patterns, layer: Layer) -> Iterator[Layer]:
    """Reshape(Transpose(SoftMax(q · k · scale + mask) · v))"""
    merge = p.source(layer.inputs[0], "Transpose") if layer.type == "Reshape" else None
    context = p.source(merge.inputs[0], "MatMul") if merge is not None else None
    softmax = p.source(context.inputs[0], "SoftMax") if context is not None else None
    plus = p.source(softmax.inputs[0], "Add") if softmax is not None else None
    if merge is None or context is None or softmax is None or plus is None:
        return
    if _order(p, merge) != (0, 2, 1, 3) or _transposed(context) or _axis(softmax) not in (3, -1):
        return
    for scores, mask in (plus.inputs, plus.inputs[::-1]):
        scale, scores = _unscaled(p, scores)
        product = p.source(scores, "MatMul")
        padding = _padding(p, mask)
        if product is None or padding is None:
            continue
        heads = [_heads(p, value) for value in (*product.inputs, context.inputs[1])]
        if product.attributes.get("transpose_b") in ("true", "1") and heads[1] is not None:
            heads[1] = heads[1].turned()
        if (found := _joined(p, layer, heads, scale)) is not None:
            yield replace(
                found,
                inputs=(*found.inputs, padding[0]),
                constants={**found.constants, "penalty": np.array(padding[1])},
            )
            return


@dataclass(frozen=True)
class _Heads:
    """A Linear whose columns became the axes "head" and "size", scaled, in the order `order` of
    [batch, sequence, head, size]."""

    linear: Layer
    heads: int
    size: int
    scale: float
    order: tuple[int, ...]

    def turned(self) -> "_Heads":
        return replace(self, order=(*self.order[:2], self.order[3], self.order[2]))


def _heads(p: Patterns, value: Value) -> _Heads | None:
    scale, value = _unscaled(p, value)
    order = (0, 1, 2, 3)
    while (transpose := p.source(value, "Transpose")) is not None:
        step = _order(p, transpose)
        if len(step) != 4:
            return None
        order = tuple(step[axis] for axis in order)
        further, value = _unscaled(p, transpose.inputs[0])
        scale *= further
    split = p.source(value, "Reshape")
    further, value = _unscaled(p, split.inputs[0]) if split is not None else (1.0, value)
    linear = p.source(value, "Linear")
    target = p.constant(split.inputs[1]) if split is not None else None
    if linear is None or target is None or target.size != 4 or min(target[2:]) < 1:
        return None
    heads, size = int(target[2]), int(target[3])
    if heads * size != linear.constants["bias"].size:
        return None
    return _Heads(linear, heads, size, scale * further, order)


def _joined(p: Patterns, layer: Layer, heads: list[_Heads | None], scale: float) -> Layer | None:
    """One layer for three Linears that read the same quantized tensor."""
    query, key, value = heads
    target = p.constant(layer.inputs[1])
    if query is None or key is None or value is None or target is None:
        return None
    linears = [each.linear for each in (query, key, value)]
    width = query.heads * query.size
    if (
        (query.order, key.order, value.order) != ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        or len({(each.heads, each.size) for each in (query, key, value)}) > 1
        or len({linear.inputs for linear in linears}) > 1
        or p.source(query.linear.inputs[0], "FakeQuantize") is None
        or any(linear.constants["zero"].any() for linear in linears)
        or value.scale != 1
        or target.size != 3
        or target[-1] not in (-1, width)
    ):
        return None
    scales = [np.broadcast_to(linear.constants["scale"], (width,)) for linear in linears]
    constants = {
        "codes": np.concatenate([linear.constants["codes"] for linear in linears], axis=1),
        "scale": np.concatenate(scales),
        "bias": np.concatenate([linear.constants["bias"] for linear in linears]),
        "heads": np.array(query.heads),
        "factor": np.array(scale * query.scale * key.scale),
    }
    return replace(layer, type="SelfAttention", inputs=query.linear.inputs, constants=constants)


def _padding(p: Patterns, value: Value) -> tuple[Value, float] | None:
    """The mask and the penalty of "(1 - mask) · penalty", the mask broadcast over heads and query positions."""
    times = p.source(value, "Multiply")
    operand = p.operand(times) if times is not None else None
    minus = p.source(operand[0], "Subtract") if operand is not None and operand[1].size == 1 else None
    if operand is None or minus is None or p.scalar(minus.inputs[0]) != 1 or minus.outputs[0].shape[1:3] != (1, 1):
        return None
    mask = minus.inputs[1]
    while (step := p.source(mask, "Convert", "Unsqueeze", "Reshape")) is not None:
        mask = step.inputs[0]
    penalty = float(operand[1].item())
    return (mask, penalty) if p.source(mask, "Parameter") is not None and penalty < 0 else None


def _unscaled(p: Patterns, value: Value) -> tuple[float, Value]:
    """What a value is a fixed multiple of, and the multiple."""
    scale = 1.0
    while (layer := p.source(value, "Multiply", "Divide")) is not None:
        operand = p.operand(layer)
        if operand is None or operand[1].size != 1 or operand[1].item() == 0:
            break
        value = operand[0]
        scale *= float(operand[1].item()) if layer.type == "Multiply" else 1 / float(operand[1].item())
    return scale, value


def _order(p: Patterns, transpose: Layer) -> tuple[int, ...]:
    order = p.constant(transpose.inputs[1])
    return tuple(int(axis) for axis in order.ravel()) if order is not None else ()


def _transposed(product: Layer) -> bool:
    return any(product.attributes.get(key) in ("true", "1") for key in ("transpose_a", "transpose_b"))
