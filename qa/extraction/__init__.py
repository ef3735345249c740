"""Text out of files that need a parser: PDF, DOCX and HTML.

Runs as a process of its own (`__main__`), started by qa.documents with limits on time and memory,
since a parser that a hostile file leads astray must take nothing with it. For that reason nothing
here imports the rest of qa, whose model runtime takes longer to load than most files take to read.
"""

from __future__ import annotations

import re
from typing import Literal

Wrong = Literal["damaged", "encrypted", "pages", "characters", "unpacked"]


class RefusedError(Exception):
    """A file is not read: `wrong` says why. What to do about it, qa.documents says."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong)
        self.wrong = wrong


def tidy(text: str) -> str:
    """Drop soft hyphens, white space at both ends of lines and table cells (which tabs divide), and
    all but one of the empty lines that follow each other."""
    text = text.replace("\u00ad", "")
    lines = ("\t".join(cell.strip(" ") for cell in line.split("\t")) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in lines)).strip()
