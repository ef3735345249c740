"""Train a small encoder on what a large one says, and on what the files say.

    python -m training.teacher TEACHER --base STUDENT --data train-v1.1.json --out LOGITS
    python -m training.distil --base STUDENT --logits LOGITS --data train-v1.1.json --out FOLDER

Training goes as `python -m training.train`, with its arguments, but for the loss, a mean of two
(loss.py has both): the divergence from the teacher's logits at a temperature, times the square of
it, which keeps its gradients as large as those of the other (Hinton et al. 2015), and the loss on
the answers. The teacher's logits are read from files; it does not run here.
"""

import bisect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.batches import Batch
from training.data import Corpus
from training.logits import Asked, LogitsFile
from training.loss import span_divergence, span_loss
from training.stretch import alone_in
from training.train import parser, read_corpus, train


class TeacherLogits:
    """The logits of all files of a corpus. `teachers` tells one teacher from another."""

    def __init__(self, folder: Path, data: Sequence[Path], corpus: Corpus) -> None:
        """Raise ValueError where a file is missing, not whole or of other questions."""
        self._files = [
            LogitsFile(folder, file, corpus, questions)
            for file, questions in zip(data, corpus.parts, strict=True)
        ]
        self.teachers = sorted({file.open() for file in self._files})
        self._first = [questions.start for questions in corpus.parts]

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Start and end logits, float32 [rows, length]; only those of candidates mean something."""
        logits = torch.zeros(*batch.candidates.shape, 2)
        answered = len(logits) - len(batch.pair_of)
        places = zip(batch.questions.tolist(), batch.cuts.tolist(), strict=True)
        for row, (question, cut) in enumerate(places):
            file = self._files[bisect.bisect(self._first, question) - 1]
            values = file.read(Asked(question, row >= answered))
            tokens = int(batch.candidates[row].sum()) - 1
            values = np.concatenate([values[:1], values[1 + cut : 1 + cut + tokens]])
            logits[row, batch.candidates[row]] = torch.from_numpy(values.astype(np.float32))
        start, end = logits.unbind(-1)
        return start, end


class Distillation:
    """The loss: `hard` is the share of the answers'."""

    def __init__(self, teacher: TeacherLogits, temperature: float, hard: float) -> None:
        self.teacher = teacher
        self.temperature = temperature
        self.hard = hard

    def __call__(self, start: Tensor, end: Tensor, batch: Batch) -> Tensor:
        said = span_divergence(self.teacher.of(batch), (start, end), batch, self.temperature)
        answers = span_loss(start, end, batch)
        return (1 - self.hard) * self.temperature**2 * said + self.hard * answers


def main(arguments: list[str] | None = None) -> None:
    described = parser("training.distil", "Train an encoder on a larger one's logits.")
    add = described.add_argument
    add("--logits", type=Path, required=True, help="what training.teacher wrote")
    add("--temperature", type=float, default=2.0, help="of the divergence (default 2)")
    add("--hard", type=float, default=0.5, help="share of the loss on answers (default 0.5)")
    args = described.parse_args(arguments)
    with alone_in(args.out, args.pid_file):
        corpus = read_corpus(args)
        teacher = TeacherLogits(args.logits, args.data, corpus)
        made_with = {
            "teachers": teacher.teachers,
            "temperature": args.temperature,
            "hard": args.hard,
        }
        train(args, corpus, Distillation(teacher, args.temperature, args.hard), made_with)


if __name__ == "__main__":
    main()
