"""A teacher's logits of every sequence there is to train on, on disk: two files for each file of
questions.

    NAME.logits.npy    float16 [values, 2], starts and ends: for question after question the first
                       position ("no answer here") and the tokens of its paragraph, then, if there
                       is one, the same for its other paragraph
    NAME.logits.json   what they are of, and how many of the batches they come in are written

Values are for the tokens of the student's tokenizer. Where a question's values lie follows from the
questions, whose fingerprint is kept. What a teacher says is found out in teacher.py.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from training.data import Corpus
from training.stretch import replace


class Asked(NamedTuple):
    """A question by its number, asked of its own paragraph or of the other one."""

    question: int
    elsewhere: bool


class LogitsFile:
    """The logits of those questions of a corpus that one file holds."""

    _values: np.memmap[Any, np.dtype[np.float16]]  # once it is open
    _made_with: dict[str, str]  # once it is open for writing
    _batches: int

    def __init__(self, folder: Path, data: Path, corpus: Corpus, questions: range) -> None:
        self.path = folder / f"{data.stem}.logits.npy"
        self.sequences: list[Asked] = []  # in the order of the values
        self._places: dict[Asked, slice] = {}
        self._size = 0
        for index in questions:
            question = corpus.questions[index]
            for elsewhere, paragraph in enumerate((question.paragraph, question.other)):
                if paragraph is None:
                    continue
                ids = corpus.paragraphs[paragraph].ids
                asked = Asked(index, bool(elsewhere))
                self.sequences.append(asked)
                self._places[asked] = slice(self._size, self._size + 1 + len(ids))
                self._size += 1 + len(ids)
        self._questions = corpus.fingerprint(questions)

    def begin(self, teacher: str, batches: int) -> int:
        """Open to write what comes in so many batches; return how many are written already.
        `teacher` is whatever tells one teacher from another.

        Raises ValueError where the file is another teacher's or of other questions.
        """
        self._batches = batches
        self._made_with = {"teacher": teacher, "questions": self._questions}
        if not self._about.exists():
            self._values = open_memmap(self.path, "w+", np.float16, (self._size, 2))
            self.flush(0)
            return 0
        kept = json.loads(self._about.read_text(encoding="utf-8"))
        if any(kept[name] != value for name, value in self._made_with.items()):
            raise ValueError(
                f"{self.path} is of another teacher, other questions or another tokenizer: "
                "use the same, or another --out."
            )
        self._values = open_memmap(self.path, "r+")
        return int(kept["written"])

    def write(self, asked: Asked, values: NDArray[np.floating]) -> None:
        """Start and end logits of the first position and of the paragraph's tokens, [n, 2]."""
        self._values[self._places[asked]] = values

    def flush(self, written: int) -> None:
        """See to it that what `written` batches hold is on the disk, and note that it is."""
        self._values.flush()
        about = self._made_with | {"written": written, "of": self._batches}
        partial = self._about.with_suffix(".partial")
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        replace(partial, self._about)

    def open(self) -> str:
        """Open for reading; return which teacher's it is.

        Raises ValueError where the file is not whole, or of other questions.
        """
        again = "run training.teacher with the same --base, --data and --exclude-titles"
        if not self._about.exists():
            raise ValueError(f"There is no {self.path}: {again}.")
        kept = json.loads(self._about.read_text(encoding="utf-8"))
        if kept["questions"] != self._questions:
            raise ValueError(f"{self.path} is of other questions or another tokenizer: {again}.")
        if kept["written"] < kept["of"]:
            raise ValueError(
                f"{self.path} has {kept['written']} of {kept['of']} batches: {again} to go on."
            )
        self._values = open_memmap(self.path, "r")
        return str(kept["teacher"])

    def read(self, asked: Asked) -> NDArray[np.float16]:
        """What was written of a sequence."""
        return self._values[self._places[asked]]

    @property
    def _about(self) -> Path:
        return self.path.with_suffix(".json")
