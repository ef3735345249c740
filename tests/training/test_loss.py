"""The loss against its definition, written out with loops."""

import math

import pytest
import torch

from training.data import Batch
from training.loss import span_loss


@pytest.fixture
def batch() -> Batch:
    """Three answered rows, and for the third then the first a row without the answer."""
    candidates = torch.zeros(5, 8, dtype=torch.bool)
    candidates[:, 0] = True
    for row, (first, last) in enumerate([(3, 6), (2, 4), (4, 5), (3, 3), (2, 6)]):
        candidates[row, first : last + 1] = True
    zeros = torch.zeros(5, 8, dtype=torch.long)
    return Batch(
        input_ids=zeros,
        attention_mask=zeros,
        token_type_ids=zeros,
        candidates=candidates,
        start=torch.tensor([3, 4, 4, 0, 0]),
        end=torch.tensor([5, 4, 5, 0, 0]),
        pair_of=torch.tensor([2, 0]),
    )


def by_hand(logits: torch.Tensor, targets: torch.Tensor, batch: Batch) -> list[float]:
    mass = [
        [math.exp(logits[row, i]) if batch.candidates[row, i] else 0.0 for i in range(8)]
        for row in range(5)
    ]
    rivals = {0: [0, 4], 1: [1], 2: [2, 3], 3: [3], 4: [4]}  # rows that share a normalization
    return [
        -math.log(mass[row][targets[row]] / sum(sum(mass[other]) for other in rivals[row]))
        for row in range(5)
    ]


def test_loss_is_as_defined(batch: Batch) -> None:
    torch.manual_seed(0)
    start, end = torch.randn(2, 5, 8, dtype=torch.float64) * 3
    starts, ends = by_hand(start, batch.start, batch), by_hand(end, batch.end, batch)
    expected = torch.tensor([(s + e) / 2 for s, e in zip(starts, ends, strict=True)])
    torch.testing.assert_close(span_loss(start, end, batch), expected, check_dtype=False)


def test_following_the_loss_orders_the_logits(batch: Batch) -> None:
    """Wrong paragraph < its "no answer" < the answer; what is no candidate is left alone."""
    start = torch.zeros(5, 8, requires_grad=True)
    end = torch.zeros(5, 8, requires_grad=True)
    for _ in range(300):
        span_loss(start, end, batch).mean().backward()
        with torch.no_grad():
            for logits in (start, end):
                logits -= 2.0 * logits.grad
                logits.grad = None
    for row, answered in ((3, 2), (4, 0)):
        passage = batch.candidates[row].clone()
        passage[0] = False
        assert start[row][passage].max() < start[row, 0] < start[answered, batch.start[answered]]
    assert (start[~batch.candidates] == 0).all()
