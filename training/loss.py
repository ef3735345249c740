"""The losses of start and end logits, one term a sequence.

For a sequence r let C(r) be its candidates: the passage's tokens and the first position, which
stands for "no answer here". A sequence's logits s (of starts; ends are treated alike, and the two
are averaged) make a distribution by a softmax over

* C(r), for a question asked of one paragraph;
* C(r) and C(n) together, where the question is also asked of a paragraph n without the answer:
  shared normalization (Clark & Gardner 2018). The answer has to beat everything in the other
  paragraph too, so that logits mean the same in every window of a long text;
* C(n), for that second sequence. Alone, the other paragraph says that it has no answer, the usual
  loss on SQuAD 2.0.

`span_loss` is the negative log-probability of what the file says: of the answer or, for a second
sequence, of its first position. Together they order the logits: what is in the wrong paragraph <
its "no answer" < the answer. `span_divergence` is the Kullback-Leibler divergence of the student's
distribution from a teacher's, both at a temperature (Hinton et al. 2015).

The loss of a batch is the mean over its sequences, so a question asked twice counts twice, once for
each paragraph.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from training.batches import Batch

# Start and end logits [rows, length] -> terms in the order of the batch's rows, float32 [rows].
Loss = Callable[[Tensor, Tensor, Batch], Tensor]


def span_loss(start: Tensor, end: Tensor, batch: Batch) -> Tensor:
    """The negative log-probability of the answers."""
    return (_surprise(start, batch.start, batch) + _surprise(end, batch.end, batch)) / 2


def span_divergence(
    teacher: tuple[Tensor, Tensor],
    student: tuple[Tensor, Tensor],
    batch: Batch,
    temperature: float,
) -> Tensor:
    """The divergence of start and end logits, in nats; a teacher's may be minus infinity."""
    start, end = (
        _divergence(wanted / temperature, got / temperature, batch)
        for wanted, got in zip(teacher, student, strict=True)
    )
    return (start + end) / 2


def _surprise(logits: Tensor, target: Tensor, batch: Batch) -> Tensor:
    return -_log_probabilities(logits, batch).gather(1, target[:, None]).squeeze(1)


def _divergence(teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
    wanted = _log_probabilities(teacher, batch)
    return (wanted.exp() * (wanted - _log_probabilities(student, batch))).sum(dim=1)


def _log_probabilities(logits: Tensor, batch: Batch) -> Tensor:
    """Each row's distribution, [rows, 2 * length]: over its own candidates and, where the question
    has a second sequence, that one's behind them."""
    # The least number rather than minus infinity: nothing times it is nothing.
    least = torch.finfo(logits.dtype).min
    logits = logits.masked_fill(~batch.candidates, least).clamp(min=least)
    rivals = torch.full_like(logits, least)
    answered = len(logits) - len(batch.pair_of)
    rivals = rivals.index_put((batch.pair_of,), logits[answered:])
    return torch.cat([logits, rivals], dim=1).log_softmax(dim=1)
