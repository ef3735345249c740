"""A checkpoint -> tests/golden/MODEL.json: what it answers in FP32, run by transformers.

    python -m training.golden CHECKPOINT tests/golden/MODEL.json

Nothing of the app computes the table: its tokens, windows and logits are transformers' own, so that
the test of the bundled models compares two implementations. Questions are those of examples/ and
some on passages written here, for seams between windows, accents, scripts and emoji. Answers are
the best sum of a start and an end logit over all windows, for spans of whole words.
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, PreTrainedTokenizerBase

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# Questions taken of each passage in examples/.
PER_EXAMPLE = 2
MAX_SEQUENCE = 384
LONGEST_ANSWER = 30
DECIMALS = 4


def log_book(place: int) -> str:
    """A passage of three windows, with the sentence that answers after so many days."""
    days = [
        f"On day {day} the ferry crossed {3 + day % 4} times and the crew counted {7 * day} gulls."
        for day in range(1, 46)
    ]
    days.insert(place, "The brass bell was given by Ottilie Brandvold, a baker from Sandnes.")
    return " ".join(days)


# (passage, question). The log books put the answer before an overlap of windows, into it, behind.
OWN = (
    (log_book(13), "Who gave the brass bell?"),
    (log_book(15), "Who gave the brass bell?"),
    (log_book(16), "What was the trade of the woman who gave the bell?"),
    (log_book(30), "Who gave the brass bell?"),
    ("Reykjavík", "Where was it?"),
    (
        (
            "The recipe came from Señora Núñez, who kept it in a tin above the stove. "
            "Her nephew José copied it out in 1974."
        ),
        "Who copied out the recipe?",
    ),
    (
        (
            "The cafe\u0301 on Rue Be\u0301ranger closed in May; "
            "its owner, Aime\u0301e Lefe\u0300vre, moved to Namur."
        ),
        "Who owned the cafe?",
    ),
    (
        (
            "The exhibition opened in 京都 in April. The curator, 田中, brought forty scrolls; "
            "the oldest came from 奈良."
        ),
        "Where did the oldest scroll come from?",
    ),
    (
        (
            "Team 🦊 finished in 41 minutes, team 🐢 in 58 minutes, and team 🐙 never "
            "left the harbour 🌊."
        ),
        "How long did team 🐢 take?",
    ),
    (
        (
            "Opening hours:\r\n\tMonday\t9-17\r\n\tSaturday\t10-13\r\n\r\nThe archive is closed on "
            "Sundays,\u00a0except in Advent."
        ),
        "When is the archive open on Sundays?",
    ),
)


@dataclass(frozen=True)
class Span:
    """A possible answer: characters of the passage, and where it was read."""

    start: int
    end: int
    window: int
    first: int
    last: int
    start_logit: float
    end_logit: float

    @property
    def total(self) -> float:
        return self.start_logit + self.end_logit


class Reference:
    """The model and its tokenizer, as transformers has them."""

    def __init__(self, checkpoint: Path, overlap: int) -> None:
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32)
        self.model.eval()
        self.overlap = overlap

    @torch.no_grad()
    def ask(self, question: str, passage: str) -> dict[str, Any]:
        """One row of the table, without the question and the passage."""
        encoded = self.tokenizer(
            question,
            passage,
            truncation="only_second",
            max_length=MAX_SEQUENCE,
            stride=self.overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        spans: list[Span] = []
        windows = []
        for window, encoding in enumerate(encoded.encodings):
            inputs = {"input_ids": torch.tensor([encoding.ids])}
            if self.model.config.model_type == "bert":
                inputs["token_type_ids"] = torch.tensor([encoding.type_ids])
            logits = self.model(**inputs)
            start, end = logits.start_logits[0].numpy(), logits.end_logits[0].numpy()
            inside = np.array(encoding.sequence_ids) == 1
            windows.append(
                {
                    "tokens": len(encoding.ids),
                    "start_max": _rounded(start[inside].max()),
                    "end_max": _rounded(end[inside].max()),
                    "null": _rounded(start[0] + end[0]),
                }
            )
            spans += _spans(encoding.offsets, encoding.word_ids, inside, start, end, window)
        spans.sort(key=lambda span: -span.total)
        best = spans[0]
        others = [span for span in spans if (span.start, span.end) != (best.start, best.end)]
        apart = [span for span in others if span.end <= best.start or best.end <= span.start]
        return {
            "windows": windows,
            "answer": passage[best.start : best.end],
            "start": best.start,
            "end": best.end,
            "window": best.window,
            "first_token": best.first,
            "last_token": best.last,
            "start_logit": _rounded(best.start_logit),
            "end_logit": _rounded(best.end_logit),
            "lead": _rounded(best.total - others[0].total) if others else None,
            "margin": _rounded(best.total - apart[0].total) if apart else None,
        }


def _spans(
    offsets: list[tuple[int, int]],
    words: list[int | None],
    inside: NDArray[np.bool_],
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    window: int,
) -> list[Span]:
    """Every span of whole words of a window. Its first and last word count as whole, since the
    window does not say whether they are."""
    tokens = [int(token) for token in np.flatnonzero(inside)]
    begins = {t for t in tokens if t == tokens[0] or words[t - 1] != words[t]}
    closes = {t for t in tokens if t == tokens[-1] or words[t + 1] != words[t]}
    return [
        Span(
            offsets[first][0],
            offsets[last][1],
            window,
            first,
            last,
            float(start[first]),
            float(end[last]),
        )
        for first in sorted(begins)
        for last in range(first, min(first + LONGEST_ANSWER, tokens[-1] + 1))
        if last in closes
    ]


def _rounded(number: float) -> float:
    return round(float(number), DECIMALS)


def cases() -> list[dict[str, str]]:
    """What is asked: an example's file name or a passage of our own, and a question."""
    listed = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
    return [
        {"example": name, "question": asked["question"]}
        for name, entry in listed.items()
        for asked in entry["questions"][:PER_EXAMPLE]
    ] + [{"passage": passage, "question": question} for passage, question in OWN]


def text_of(case: dict[str, str]) -> str:
    """The passage of a case."""
    if "passage" in case:
        return case["passage"]
    return (EXAMPLES / case["example"]).read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.golden", description=__doc__.split("\n")[0]
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--overlap", type=int, default=64, help="passage tokens shared by windows (%(default)s)"
    )
    options = parser.parse_args()
    reference = Reference(options.checkpoint, options.overlap)
    rows = []
    for case in cases():
        passage = text_of(case)
        digest = hashlib.sha256(passage.encode()).hexdigest()
        answered = reference.ask(case["question"], passage)
        rows.append(case | {"passage_sha256": digest} | answered)
    table = {
        "max_sequence": MAX_SEQUENCE,
        "overlap": options.overlap,
        "longest_answer": LONGEST_ANSWER,
        "rows": rows,
    }
    text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
