"""The loss against its definition, written out with loops."""

import math

import pytest
import torch

from training.batches import Batch
from training.loss import span_divergence, span_loss


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
        questions=torch.tensor([0, 1, 2, 2, 0]),
        cuts=torch.zeros(5, dtype=torch.long),
    )


# Rows that share a normalization.
RIVALS = {0: [0, 4], 1: [1], 2: [2, 3], 3: [3], 4: [4]}


def distributions(logits: torch.Tensor, batch: Batch) -> list[dict[tuple[int, int], float]]:
    """For every row the probabilities of (row, token)."""
    mass = {
        (row, token): math.exp(logits[row, token])
        for row in range(5)
        for token in range(8)
        if batch.candidates[row, token]
    }
    totals = [sum(mass[at] for at in mass if at[0] in RIVALS[row]) for row in range(5)]
    return [{at: mass[at] / totals[row] for at in mass if at[0] in RIVALS[row]} for row in range(5)]


def by_hand(logits: torch.Tensor, targets: torch.Tensor, batch: Batch) -> list[float]:
    shares = distributions(logits, batch)
    return [-math.log(shares[row][row, int(targets[row])]) for row in range(5)]


def test_loss_is_as_defined(batch: Batch) -> None:
    torch.manual_seed(0)
    start, end = torch.randn(2, 5, 8, dtype=torch.float64) * 3
    starts, ends = by_hand(start, batch.start, batch), by_hand(end, batch.end, batch)
    expected = torch.tensor([(s + e) / 2 for s, e in zip(starts, ends, strict=True)])
    torch.testing.assert_close(span_loss(start, end, batch), expected, check_dtype=False)


def test_divergence_is_as_defined(batch: Batch) -> None:
    torch.manual_seed(1)
    teacher, student = (torch.randn(2, 5, 8, dtype=torch.float64) * 3 for _ in range(2))
    teacher[0, 2, 4] = teacher[1, 4, 5] = -math.inf  # where another tokenizer has no token
    expected = torch.zeros(5, dtype=torch.float64)
    for wanted, got in zip(teacher, student, strict=True):
        rows = zip(distributions(wanted / 2, batch), distributions(got / 2, batch), strict=True)
        for row, (p, q) in enumerate(rows):
            expected[row] += sum(p[at] * math.log(p[at] / q[at]) for at in p if p[at]) / 2
    found = span_divergence(tuple(teacher), tuple(student), batch, temperature=2.0)
    torch.testing.assert_close(found, expected)


def test_nobody_diverges_from_himself(batch: Batch) -> None:
    torch.manual_seed(2)
    start, end = torch.randn(2, 5, 8) * 3
    start.requires_grad_()
    terms = span_divergence((start.detach(), end), (start, end), batch, temperature=2.0)
    assert (terms == 0).all()
    terms.sum().backward()
    assert start.grad.abs().max() < 1e-6


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
