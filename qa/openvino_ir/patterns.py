"""What a BERT's layers mean: groups of an IR's layers recognised as one operation each.

    Weight      8-bit constant - zero point, times scale     codes, zero, scale
    LayerNorm   MVN or its decomposed form, times, plus      gamma, beta, epsilon
    Gelu        itself or its form with Erf
    Linear      product with a Weight, plus                  codes, zero, scale, bias
    and the attention of attention.py

A group takes the place (and id) of its last layer, so whatever read that layer now reads the group;
what is left without a reader goes. What is not recognised stays as it was. Nothing here knows ONNX.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np

from qa.openvino_ir import attention
from qa.openvino_ir.graph import Array, Graph, IRError, Layer, Value
from qa.openvino_ir.network import Network

# How far, in steps, the zero of a range may lie from a whole code to be taken for it: about the
# error of
# the float32 in which any runtime computes codes.
EXACT = 1e-5

ROOT_HALF = sqrt(0.5)


def recognise(graph: Graph) -> Network:
    """The graph in the terms above."""
    network = Network(graph)
    for rule in (_weight, _layer_norm, _gelu, _linear, *attention.RULES):
        network.apply(rule)
    return network


# ------------------------------------------------------------------------------------------------
# Weights: 8-bit codes with a zero point and a scale


def _weight(network: Network, layer: Layer) -> Iterator[Layer]:
    if layer.type == "FakeQuantize" and len(layer.inputs) == 5:
        if (array := network.constant(layer.inputs[0])) is not None and array.ndim >= 2:
            yield from _quantized(network, layer, array)
    elif layer.type == "Multiply":
        for value, other in (layer.inputs, layer.inputs[::-1]):
            codes, zero = _codes(network, value)
            scale = network.constant(other) if codes is not None else None
            if (
                codes is not None
                and scale is not None
                and _spans(codes, scale)
                and _spans(codes, zero)
            ):
                yield _as_weight(layer, codes, zero, scale)
                return


def _codes(network: Network, value: Value) -> tuple[Array | None, Array]:
    """The 8-bit constant of "convert" or "convert, subtract zero point", and the zero point."""
    zero = np.zeros((), np.float32)
    if (subtract := network.source(value, "Subtract")) is not None:
        value, given = subtract.inputs[0], network.constant(subtract.inputs[1])
        if given is None:
            return None, zero
        zero = given
    convert = network.source(value, "Convert")
    const = network.source(convert.inputs[0], "Const") if convert is not None else None
    if (
        const is None
        or const.constants["value"].dtype.itemsize != 1
        or (zero != np.round(zero)).any()
    ):
        return None, zero
    return const.constants["value"], zero


def _quantized(network: Network, layer: Layer, array: Array) -> Iterator[Layer]:
    """A float weight behind a FakeQuantize whose zero is a whole code becomes those codes; another
    is folded."""
    ranges = [network.constant(value) for value in layer.inputs[1:]]
    levels = layer.whole("levels", 0)
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
    if zero.min(initial=0) < -128 or zero.max(initial=0) > 127:
        raise IRError(f"The {layer} has a zero point outside its 8-bit codes.")
    constants = {"codes": codes, "zero": zero.astype(np.int8), "scale": scale.astype(np.float32)}
    return replace(layer, type="Weight", inputs=(), constants=constants)


# ------------------------------------------------------------------------------------------------
# Layer norms and Gelus


def _layer_norm(network: Network, layer: Layer) -> Iterator[Layer]:
    """A bare norm first; the times and the plus that follow it each join when their turn comes."""
    found = _mvn(network, layer) if layer.type == "MVN" else _decomposed_norm(network, layer)
    if found is not None:
        value, epsilon = found
        constants = {"gamma": np.ones(1), "beta": np.zeros(1), "epsilon": np.array(epsilon)}
        yield replace(layer, type="LayerNorm", inputs=(value,), constants=constants)
    elif layer.type in ("Multiply", "Add") and (operand := network.operand(layer)) is not None:
        norm, array = network.source(operand[0], "LayerNorm"), _last_axis(operand[1])
        if norm is None or array is None or len(network.readers(operand[0])) > 1:
            return
        gamma, beta = norm.constants["gamma"], norm.constants["beta"]
        gamma, beta = (
            (gamma * array, beta * array) if layer.type == "Multiply" else (gamma, beta + array)
        )
        yield replace(
            layer,
            type="LayerNorm",
            inputs=norm.inputs,
            constants={**norm.constants, "gamma": gamma, "beta": beta},
        )


def _mvn(network: Network, layer: Layer) -> tuple[Value, float]:
    """What an MVN over the last axis normalizes, and its epsilon. Version 1 names no axes: all but
    the first two."""
    rank = len(layer.outputs[0].shape)
    axes = network.constant(layer.inputs[1]) if len(layer.inputs) > 1 else None
    if axes is not None:
        last = axes.size == 1 and int(axes.item()) in (-1, rank - 1)
    else:
        stated = layer.attributes.get("reduction_axes")
        across = layer.flag("across_channels")
        last = stated in ("-1", str(rank - 1)) if stated else rank == 3 and not across
    epsilon = layer.number("eps")
    outside = (
        layer.attributes.get("eps_mode", "inside_sqrt").lower() == "outside_sqrt" and epsilon > 1e-9
    )
    if (
        not last
        or outside
        or layer.attributes.get("normalize_variance", "true") not in ("true", "1")
    ):
        raise IRError(f"The {layer} is not the norm over the last axis that can be converted.")
    return layer.inputs[0], epsilon


def _decomposed_norm(network: Network, layer: Layer) -> tuple[Value, float] | None:
    """(x - mean) / sqrt(variance + epsilon), or times a power of -0.5 -> x and epsilon."""
    if layer.type not in ("Divide", "Multiply") or len(layer.inputs) != 2:
        return None
    for centred, spread in (layer.inputs, layer.inputs[::-1])[: 1 if layer.type == "Divide" else 2]:
        value = _centred(network, centred)
        plus = _root(network, spread, -0.5 if layer.type == "Multiply" else 0.5)
        operand = network.operand(plus) if plus is not None else None
        if value is None or operand is None or operand[1].size != 1:
            continue
        mean = network.source(operand[0], "ReduceMean")
        if (
            mean is not None
            and _over_last_axis(network, mean)
            and _square_of(network, mean.inputs[0]) == value
        ):
            return value, float(operand[1].item())
    return None


def _centred(network: Network, value: Value) -> Value | None:
    """x of "x - mean of x"."""
    subtract = network.source(value, "Subtract")
    mean = network.source(subtract.inputs[1], "ReduceMean") if subtract is not None else None
    if subtract is None or mean is None or mean.inputs[0] != subtract.inputs[0]:
        return None
    return subtract.inputs[0] if _over_last_axis(network, mean) else None


def _square_of(network: Network, value: Value) -> Value | None:
    """x of "(x - mean of x) squared"."""
    layer = network.source(value, "Power", "Multiply", "SquaredDifference")
    if layer is None:
        return None
    if layer.type == "SquaredDifference":
        mean = network.source(layer.inputs[1], "ReduceMean")
        same = (
            mean is not None
            and mean.inputs[0] == layer.inputs[0]
            and _over_last_axis(network, mean)
        )
        return layer.inputs[0] if same else None
    if layer.type == "Power" and network.scalar(layer.inputs[1]) != 2:
        return None
    left, right = layer.inputs
    return _centred(network, left) if layer.type == "Power" or left == right else None


def _root(network: Network, value: Value, power: float) -> Layer | None:
    """The Add under a square root (or under the given power; a reciprocal root may be 1 / sqrt)."""
    layer = network.source(value, "Sqrt", "Power", "Divide")
    if (
        layer is not None
        and layer.type == "Divide"
        and power < 0
        and network.scalar(layer.inputs[0]) == 1
    ):
        return _root(network, layer.inputs[1], -power)
    if layer is None or layer.type == "Divide":
        return None
    found = 0.5 if layer.type == "Sqrt" else network.scalar(layer.inputs[1])
    return network.source(layer.inputs[0], "Add") if found == power else None


def _over_last_axis(network: Network, layer: Layer) -> bool:
    axes = network.constant(layer.inputs[1])
    rank = len(layer.outputs[0].shape)
    kept = layer.flag("keep_dims")
    return axes is not None and axes.size == 1 and int(axes.item()) in (-1, rank - 1) and kept


def _gelu(network: Network, layer: Layer) -> Iterator[Layer]:
    """x · 0.5 · (1 + erf(x / √2)), in whatever order it is multiplied."""
    if layer.type != "Multiply":
        return
    factors: list[Value] = []
    waiting = list(layer.inputs)
    while waiting and len(factors) < 4:
        inner = network.source(value := waiting.pop(), "Multiply")
        if inner is not None and len(network.readers(value)) == 1:
            waiting += inner.inputs
        else:
            factors.append(value)
    halves = [value for value in factors if network.scalar(value) == 0.5]
    bells = [
        value
        for value in factors
        if (plus := network.source(value, "Add")) and _erf_of(network, plus) is not None
    ]
    if len(factors) == 3 and len(halves) == 1 and len(bells) == 1:
        (value,) = set(factors) - {*halves, *bells}
        plus = network.source(bells[0], "Add")
        if plus is not None and _erf_of(network, plus) == value:
            yield replace(
                layer, type="Gelu", inputs=(value,), attributes={"approximation_mode": "ERF"}
            )


def _erf_of(network: Network, plus: Layer) -> Value | None:
    """x of "erf(x / √2) + 1"."""
    value = _less(network, plus, 1.0)
    erf = network.source(value, "Erf") if value is not None else None
    scaled = network.source(erf.inputs[0], "Divide", "Multiply") if erf is not None else None
    if scaled is None:
        return None
    return _less(network, scaled, 1 / ROOT_HALF if scaled.type == "Divide" else ROOT_HALF)


def _less(network: Network, layer: Layer, number: float) -> Value | None:
    """The other operand of a layer that has `number` for one, or what float16 makes of it."""
    operand = network.operand(layer)
    if operand is None or operand[1].size != 1 or abs(operand[1].item() - number) > 1e-3:
        return None
    return operand[0]


# ------------------------------------------------------------------------------------------------
# Linear layers


def _linear(network: Network, layer: Layer) -> Iterator[Layer]:
    if layer.type == "MatMul":
        weight = network.source(layer.inputs[1], "Weight")
        if weight is None or layer.flag("transpose_a"):
            return
        codes, zero, scale = (weight.constants[key] for key in ("codes", "zero", "scale"))
        if codes.ndim != 2:
            return
        if layer.flag("transpose_b"):
            codes, zero, scale = codes.T, np.atleast_2d(zero).T, np.atleast_2d(scale).T
        columns = [_last_axis(zero), _last_axis(scale)]
        if columns[0] is None or columns[1] is None:
            return  # scales along the summed axis do not leave the sum
        constants = {
            "codes": codes,
            "zero": columns[0],
            "scale": columns[1],
            "bias": np.zeros(codes.shape[1]),
        }
        yield replace(layer, type="Linear", inputs=layer.inputs[:1], constants=constants)
    elif layer.type == "Add" and (operand := network.operand(layer)) is not None:
        linear, bias = network.source(operand[0], "Linear"), _last_axis(operand[1])
        if linear is None or bias is None or len(network.readers(operand[0])) > 1:
            return
        if bias.size not in (1, linear.constants["bias"].size):
            raise IRError(
                f"The {layer} adds {bias.size} numbers to {linear.constants['bias'].size} columns."
            )
        constants = {**linear.constants, "bias": linear.constants["bias"] + bias}
        yield replace(layer, type="Linear", inputs=linear.inputs, constants=constants)


def _last_axis(array: Array) -> Array | None:
    """The numbers of an array that varies along its last axis only."""
    return array.ravel() if array.size == (array.shape[-1] if array.ndim else 1) else None
