"""The sentence that an answer stands in, whatever marks its language ends sentences with.

Only where it begins and ends; nothing is drawn here. It is a reading aid: an abbreviation may end a
sentence early, and a text without sentence marks gives a stretch of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

from qa.windows import CLUSTER

REACH = 200  # characters shown at most on each side of an answer

# A sentence ends at a mark, white space and something that can begin one; at an ideographic mark;
# at a blank line; and where the next line is an item of a list. "J. Smith" and "Dr. Smith" are
# names, not two sentences. Brackets and quotation marks after a mark are few: a text may have
# nothing else, and would be read back to its beginning from everywhere.
_BREAK = regex.compile(
    r"""(?x)
      (?<= [.!?…؟।] [\p{Pe}\p{Pf}"']{0,9} ) (?<! \b (?: \p{Lu} | Mrs? | Ms | Dr | St | No ) \. )
      \s+ (?= [\p{Ps}\p{Pi}"'¿¡]* [\p{Lu}\p{Lt}\p{Lo}\p{N}\p{So}] )
    | (?<= [。！？｡] [\p{Pe}\p{Pf}]{0,9} )
    | \s* \n \s* \n \s*
    | \s* \n \s* (?= (?: [-*•–] | \d+ [.)] ) \s )
    """
)
_GAP = regex.compile(r"\s+")
_LOOKAHEAD = 4  # characters _BREAK may want to see after a break


@dataclass(frozen=True, slots=True)
class Sentence:
    """`passage[start:end]`; `cut_before` and `cut_after` say that the sentence goes on beyond."""

    start: int
    end: int
    cut_before: bool
    cut_after: bool


def around(passage: str, start: int, end: int) -> Sentence:
    """Return the sentence, or sentences, that `passage[start:end]` stands in."""
    floor, ceiling = max(0, start - REACH), min(len(passage), end + REACH)
    breaks = [match.span() for match in _BREAK.finditer(passage, floor, ceiling + _LOOKAHEAD)]
    first = max((stop for _, stop in breaks if stop <= start), default=None)
    last = min((begin for begin, _ in breaks if end <= begin <= ceiling), default=None)
    cut_before = first is None and floor > 0
    cut_after = last is None and ceiling < len(passage)
    if first is None:
        first = _first_gap(passage, floor, start) if cut_before else 0
    if last is None:
        last = _last_gap(passage, end, ceiling) if cut_after else len(passage)
    return Sentence(first, last, cut_before, cut_after)


def _first_gap(text: str, start: int, stop: int) -> int:
    """Return where the first whole word begins; where none are spaced, the first whole grapheme
    cluster."""
    gap = _GAP.search(text, start, stop) or regex.search(r"\X", text, pos=start, endpos=stop)
    return gap.end() if gap else stop


def _last_gap(text: str, start: int, stop: int) -> int:
    """Return where the last whole word ends; where none are spaced, the last whole grapheme
    cluster."""
    gaps = [*_GAP.finditer(text, start, stop)] or [*CLUSTER.finditer(text, start, stop)]
    return gaps[-1].start() if gaps else stop
