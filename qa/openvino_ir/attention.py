"""The attention of a BERT, recognised as one operation.

    SoftMax        without the Reshapes that flatten it to two axes
    FakeQuantize   after Transposes and Reshapes instead of before
    SelfAttention  query, key and value Linears of one quantized  codes, scale, bias of the three
                   tensor, to the contexts of all heads           in a row; heads, factor, penalty

`factor` multiplies the scores, `penalty` is added to those of masked positions. An attention of
another form (quantized between its products, say) stays the products, Softmax and Transposes it is
made of.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from qa.openvino_ir.graph import Layer, Value
from qa.openvino_ir.network import Network


def _softmax(network: Network, layer: Layer) -> Iterator[Layer]:
    """A Softmax over the last axis is the same with the axes before it flattened; so leave them
    alone."""
    softmax = network.source(layer.inputs[0], "SoftMax") if layer.type == "Reshape" else None
    flat = network.source(softmax.inputs[0], "Reshape") if softmax is not None else None
    if softmax is None or flat is None or len(network.readers(layer.inputs[0])) > 1:
        return
    before = network.layers[flat.inputs[0][0]].outputs[flat.inputs[0][1]]
    inside = flat.outputs[0]
    shape_of = network.source(layer.inputs[1], "ShapeOf")
    restored = layer.outputs[0].shape == before.shape or (
        shape_of is not None and shape_of.inputs[0] == flat.inputs[0]
    )
    same_last = before.shape[-1:] == inside.shape[-1:]
    if restored and same_last and _axis(softmax) == len(inside.shape) - 1:
        yield replace(layer, type="SoftMax", inputs=flat.inputs[:1], attributes={"axis": "-1"})


def _axis(softmax: Layer) -> int:
    axis = softmax.whole("axis", 1)
    return axis + len(softmax.outputs[0].shape) if axis < 0 else axis


def _sink(network: Network, layer: Layer) -> Iterator[Layer]:
    """Quantize after moving numbers about instead of before: one range for all of them commutes
    with that."""
    if layer.type not in ("Transpose", "Reshape"):
        return
    quantize = network.source(layer.inputs[0], "FakeQuantize")
    if quantize is None or len(network.readers(layer.inputs[0])) > 1:
        return
    if all(network.scalar(value) is not None for value in quantize.inputs[1:]):
        moved = replace(layer, id=quantize.id, inputs=(quantize.inputs[0], *layer.inputs[1:]))
        yield moved
        yield replace(
            quantize,
            id=layer.id,
            inputs=((quantize.id, 0), *quantize.inputs[1:]),
            outputs=layer.outputs,
        )


def _self_attention(network: Network, layer: Layer) -> Iterator[Layer]:
    """Reshape(Transpose(SoftMax(q · k · scale + mask) · v))"""
    merge = network.source(layer.inputs[0], "Transpose") if layer.type == "Reshape" else None
    context = network.source(merge.inputs[0], "MatMul") if merge is not None else None
    softmax = network.source(context.inputs[0], "SoftMax") if context is not None else None
    plus = network.source(softmax.inputs[0], "Add") if softmax is not None else None
    if merge is None or context is None or softmax is None or plus is None:
        return
    if (
        _order(network, merge) != (0, 2, 1, 3)
        or _transposed(context)
        or _axis(softmax) not in (3, -1)
    ):
        return
    for scores, mask in (plus.inputs, plus.inputs[::-1]):
        scale, scores = _unscaled(network, scores)
        product = network.source(scores, "MatMul")
        padding = _padding(network, mask)
        if product is None or padding is None:
            continue
        heads = [_heads(network, value) for value in (*product.inputs, context.inputs[1])]
        if product.flag("transpose_b") and heads[1] is not None:
            heads[1] = heads[1].turned()
        if (found := _joined(network, layer, heads, scale)) is not None:
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


def _heads(network: Network, value: Value) -> _Heads | None:
    scale, value = _unscaled(network, value)
    order: tuple[int, ...] = (0, 1, 2, 3)
    while (transpose := network.source(value, "Transpose")) is not None:
        step = _order(network, transpose)
        if len(step) != 4:
            return None
        order = tuple(step[axis] for axis in order)
        further, value = _unscaled(network, transpose.inputs[0])
        scale *= further
    split = network.source(value, "Reshape")
    further, value = _unscaled(network, split.inputs[0]) if split is not None else (1.0, value)
    linear = network.source(value, "Linear")
    target = network.constant(split.inputs[1]) if split is not None else None
    if linear is None or target is None or target.size != 4 or min(target[2:]) < 1:
        return None
    heads, size = int(target[2]), int(target[3])
    if heads * size != linear.constants["bias"].size:
        return None
    return _Heads(linear, heads, size, scale * further, order)


def _joined(
    network: Network, layer: Layer, heads: list[_Heads | None], scale: float
) -> Layer | None:
    """One layer for three Linears that read the same quantized tensor."""
    query, key, value = heads
    target = network.constant(layer.inputs[1])
    if query is None or key is None or value is None or target is None:
        return None
    linears = [each.linear for each in (query, key, value)]
    width = query.heads * query.size
    if (
        (query.order, key.order, value.order) != ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        or len({(each.heads, each.size) for each in (query, key, value)}) > 1
        or len({linear.inputs for linear in linears}) > 1
        or network.source(query.linear.inputs[0], "FakeQuantize") is None
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


def _padding(network: Network, value: Value) -> tuple[Value, float] | None:
    """The mask and the penalty of "(1 - mask) · penalty", the mask broadcast over heads and query
    positions."""
    times = network.source(value, "Multiply")
    operand = network.operand(times) if times is not None else None
    minus = (
        network.source(operand[0], "Subtract")
        if operand is not None and operand[1].size == 1
        else None
    )
    if (
        operand is None
        or minus is None
        or network.scalar(minus.inputs[0]) != 1
        or minus.outputs[0].shape[1:3] != (1, 1)
    ):
        return None
    mask = minus.inputs[1]
    while (step := network.source(mask, "Convert", "Unsqueeze", "Reshape")) is not None:
        mask = step.inputs[0]
    penalty = float(operand[1].item())
    return (
        (mask, penalty) if network.source(mask, "Parameter") is not None and penalty < 0 else None
    )


def _unscaled(network: Network, value: Value) -> tuple[float, Value]:
    """What a value is a fixed multiple of, and the multiple."""
    scale = 1.0
    while (layer := network.source(value, "Multiply", "Divide")) is not None:
        operand = network.operand(layer)
        if operand is None or operand[1].size != 1 or operand[1].item() == 0:
            break
        value = operand[0]
        scale *= (
            float(operand[1].item()) if layer.type == "Multiply" else 1 / float(operand[1].item())
        )
    return scale, value


def _order(network: Network, transpose: Layer) -> tuple[int, ...]:
    order = network.constant(transpose.inputs[1])
    return tuple(int(axis) for axis in order.ravel()) if order is not None else ()


def _transposed(product: Layer) -> bool:
    return product.flag("transpose_a") or product.flag("transpose_b")


RULES = (_softmax, _sink, _self_attention)
