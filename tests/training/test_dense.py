"""The dense layers of training against PyTorch's own."""

import pytest
import torch

from training.dense import Dense, transpose


@pytest.mark.parametrize(("width", "out"), [(6, 18), (18, 6), (6, 6)])
def test_gradients(width: int, out: int) -> None:
    dense = Dense(width, out).double()
    x = torch.randn(2, 5, width, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(
            dense, {"weight": weight, "bias": bias}, (x,)
        ),
        (x, dense.weight, dense.bias),
    )


def test_it_is_a_plain_linear_layer_where_nothing_is_learned() -> None:
    dense = Dense(6, 18).eval()
    got = dense(torch.randn(2, 6))
    assert type(got.grad_fn).__name__ == "AddmmBackward0"


@pytest.mark.parametrize("shape", [(1, 7), (70, 3), (100, 33)])
def test_transpose(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape).bfloat16()
    assert transpose(matrix).is_contiguous()
    assert torch.equal(transpose(matrix), matrix.t())
