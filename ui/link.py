"""A question in a link: what stands after "#", which browsers send to nobody.

script.js adds the address and, where it is short, the passage. Whatever somebody put into a link is
text like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from qa import InputError


@dataclass(frozen=True, slots=True)
class Link:
    """What a link asks; None for what it leaves open."""

    question: str
    passage: str
    model: str | None
    top_k: int | None

    def check(self) -> None:
        """Raise InputError where the link cannot be asked as it is."""
        if not self.passage.strip():
            raise InputError("This link came without its passage; paste it here.", "passage")


def write(question: str, model: str, top_k: int) -> str:
    """Return what stands after "#" for this question; a passage may follow."""
    return urlencode({"question": question, "model": model, "answers": top_k}, errors="replace")


def read(fragment: str, most_answers: int) -> Link | None:
    """Read what stands after "#", with or without it; None where it has neither a question nor a
    passage. A number of answers that is none from 1 to `most_answers` is passed over."""
    fields = parse_qs(fragment.removeprefix("#"), keep_blank_values=True)
    question, passage = (fields.get(name, [""])[0] for name in ("question", "passage"))
    if not (question + passage).strip():
        return None
    number = fields.get("answers", [""])[0]
    top_k = int(number) if number.isascii() and number.isdecimal() and len(number) < 4 else 0
    return Link(
        question,
        passage,
        fields.get("model", [""])[0] or None,
        top_k if 1 <= top_k <= most_answers else None,
    )
