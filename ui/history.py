"""The questions that were asked about one passage, for as long as it is the one asked about. Kept
with the page that is open, nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 12  # questions


@dataclass(frozen=True, slots=True)
class History:
    """`questions` about `passage`, the latest first, none twice."""

    passage: str = ""
    questions: tuple[str, ...] = ()

    def with_question(self, question: str, passage: str) -> History:
        """Return the history after one more question; of another passage nothing is kept."""
        question = question.strip()
        earlier = [each for each in self.about(passage) if each != question]
        return History(passage, (question, *earlier)[:LONGEST])

    def about(self, passage: str) -> tuple[str, ...]:
        """Return the questions asked about this passage."""
        return self.questions if passage == self.passage else ()
