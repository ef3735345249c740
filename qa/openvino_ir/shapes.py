"""Sizes that stay open: the shape of a tensor in terms of the batch and the sequence length.

An IR is usually frozen at one size ([1, 384]); its Reshapes name numbers where they mean axes. Here
a size is a whole number times powers of the batch and of the sequence length, and `reshaped` tells
which of the two a frozen number stands for. Knows nothing of layers or of ONNX.
"""

from dataclasses import dataclass
from math import prod

from qa.openvino_ir.graph import IRError


@dataclass(frozen=True)
class Dim:
    """factor · batch^batch · sequence^sequence"""

    factor: int = 1
    batch: int = 0
    sequence: int = 0

    def __mul__(self, other: "Dim") -> "Dim":
        return Dim(
            self.factor * other.factor, self.batch + other.batch, self.sequence + other.sequence
        )

    @property
    def fixed(self) -> bool:
        return not (self.batch or self.sequence)


ONE = Dim()
BATCH = Dim(batch=1)
SEQUENCE = Dim(sequence=1)
Shape = tuple[Dim, ...]


@dataclass(frozen=True)
class Sizes:
    """The batch and sequence length the IR was frozen at; where it left them open, two primes that
    no constant of a network equals, so that nothing is mistaken for them."""

    batch: int = 7919
    sequence: int = 7907

    def of(self, dim: Dim) -> int:
        return int(dim.factor * self.batch**dim.batch * self.sequence**dim.sequence)

    def shape(self, shape: Shape) -> tuple[int, ...]:
        return tuple(self.of(dim) for dim in shape)


def fixed(shape: tuple[int, ...]) -> Shape:
    return tuple(Dim(size) for size in shape)


def product(shape: Shape) -> Dim:
    result = ONE
    for dim in shape:
        result = result * dim
    return result


def broadcast(a: Shape, b: Shape, sizes: Sizes, where: str) -> Shape:
    """NumPy's rule. A frozen size meeting the open axis it was frozen from becomes that axis."""
    rank = max(len(a), len(b))
    a, b = (ONE,) * (rank - len(a)) + a, (ONE,) * (rank - len(b)) + b
    result = []
    for left, right in zip(a, b, strict=True):
        if left == right or right == ONE:
            result.append(left)
        elif left == ONE:
            result.append(right)
        elif sizes.of(left) == sizes.of(right):
            result.append(left if right.fixed else right)
        else:
            raise IRError(
                f"{where} joins the shapes {list(sizes.shape(a))} and "
                f"{list(sizes.shape(b))}, which do not fit."
            )
    return tuple(result)


def reshaped(shape: Shape, target: tuple[int, ...], sizes: Sizes, where: str) -> Shape:
    """The open form of `target`, a shape of plain numbers that `shape` is reshaped to.

    Both are walked from the left in the smallest groups of equal size: [1, 384 | 512] -> [1, 384 |
    8, 64]. A group of one and one is the same axis; within a larger group each number takes the
    batch or the sequence length out of what is left if it equals it.
    """
    frozen = sizes.shape(shape)
    if prod(frozen) != prod(target) or min(target, default=1) < 1:
        raise IRError(
            f"{where} turns the shape {list(frozen)} into {list(target)}, "
            "which does not hold as many numbers."
        )
    result: list[Dim] = []
    i = j = 0
    while i < len(frozen) or j < len(target):
        first, start = i, j
        left, right = 1, 1
        if i < len(frozen):
            left, i = frozen[i], i + 1
        if j < len(target):
            right, j = target[j], j + 1
        while left != right:
            if left < right:
                left, i = left * frozen[i], i + 1
            else:
                right, j = right * target[j], j + 1
        result += _split(product(shape[first:i]), target[start:j], sizes, where)
    return tuple(result)


def _split(dim: Dim, target: tuple[int, ...], sizes: Sizes, where: str) -> list[Dim]:
    """`dim` as a product of axes whose frozen sizes are `target`."""
    if len(target) == 1:
        return [dim]
    result = []
    for size in target:
        axis = next(
            (
                open_axis
                for open_axis in (BATCH, SEQUENCE, BATCH * SEQUENCE)
                if open_axis.batch <= dim.batch
                and open_axis.sequence <= dim.sequence
                and sizes.of(open_axis) == size
            ),
            Dim(size),
        )
        if dim.factor % axis.factor:
            raise IRError(
                f"{where} tears the batch or the sequence apart, so it cannot run at other sizes."
            )
        dim = Dim(dim.factor // axis.factor, dim.batch - axis.batch, dim.sequence - axis.sequence)
        result.append(axis)
    if sizes.of(dim) != 1:
        raise IRError(
            f"{where} tears the batch or the sequence apart, so it cannot run at other sizes."
        )
    return [result[0] * dim, *result[1:]]  # a batch frozen at one, dropped from the target
