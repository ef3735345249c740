"""The loss of start and end logits, one term a sequence.

For a sequence r let C(r) be its candidates: the passage's tokens and the first position, which
stands for "no answer here". With s the start logits (ends are treated alike, and the two are
averaged):

* question with one sequence, answer at a:        log sum_{C(r)} exp s  -  s[r, a]
* question with a second sequence n without it:   log sum_{C(r) + C(n)} exp s  -  s[r, a]
* that second sequence:                           log sum_{C(n)} exp s  -  s[n, 0]

The second line is shared normalization (Clark & Gardner 2018): the answer has to beat everything in
the other paragraph too, so that logits mean the same in every window of a long text. The third is
the usual loss on SQuAD 2.0: alone, the other paragraph says that it has no answer. Together they
order the logits: what is in the wrong paragraph < its "no answer" < the answer. The loss of a batch
is the mean over its sequences, so a question asked twice counts twice, once for each paragraph.
"""

import torch
from torch import Tensor

from training.data import Batch


def span_loss(start: Tensor, end: Tensor, batch: Batch) -> Tensor:
    """Terms in the order of the batch's rows: float32 [rows], from logits [rows, length]."""
    return (_terms(start, batch.start, batch) + _terms(end, batch.end, batch)) / 2


def _terms(logits: Tensor, target: Tensor, batch: Batch) -> Tensor:
    logits = logits.masked_fill(~batch.candidates, torch.finfo(logits.dtype).min)
    total = logits.logsumexp(dim=1)
    answered = len(total) - len(batch.pair_of)
    shared = torch.logaddexp(total[batch.pair_of], total[answered:])
    total = total.index_put((batch.pair_of,), shared)
    return total - logits.gather(1, target[:, None]).squeeze(1)
