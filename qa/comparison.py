"""The same question to several models: what each of them answers, and where they disagree.

Which models there are and how they are loaded is the caller's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qa.catalog import ModelCard
from qa.errors import InputError, QAError, StoppedError
from qa.reader import Reader, Result
from qa.squad import normalize


@dataclass(frozen=True, slots=True)
class Entry:
    """A model and what it answered: a `result`, so far or whole, or an `error`; neither before its
    turn has come."""

    card: ModelCard
    result: Result | None = None
    error: str | None = None

    @property
    def finished(self) -> bool:
        return self.error is not None or (self.result is not None and self.result.complete)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What some models say: the `text` of the best answer, None for "no answer"; and their
    names."""

    text: str | None
    models: tuple[str, ...]


def compare(
    cards: Sequence[ModelCard],
    get: Callable[[str], Reader],
    question: str,
    passage: str,
    top_k: int = 3,
) -> Generator[list[Entry], None, None]:
    """Ask one model after the other: return how things stand, a fifth of a second apart. Closing
    the iterator stops the reading. A reader's `max_seconds` are for all models together: those that
    have not finished by then have that for an error.

    `get` returns a loaded model by name. What is wrong with one model is its entry's error; what is
    wrong with question or passage raises InputError.
    """
    since = time.monotonic()
    entries = [Entry(card) for card in cards]
    for place, card in enumerate(cards):
        yield list(entries)
        try:
            for result in get(card.name).stream(question, passage, top_k, since=since):
                entries[place] = Entry(card, result)
                if not result.complete:
                    yield list(entries)
        except InputError as error:
            if error.field:
                raise
            entries[place] = Entry(card, error=str(error))
        except StoppedError:
            raise
        except QAError as error:
            entries[place] = Entry(card, error=str(error))
    yield entries


def over(entries: Sequence[Entry]) -> bool:
    """Say whether all models have finished."""
    return all(entry.finished for entry in entries)


def opinions(entries: Sequence[Entry]) -> list[Opinion]:
    """Return what the models that have finished say, what most of them say first.

    Best answers are one opinion if they are equal as SQuAD's exact match sees it: but for case,
    punctuation and articles.
    """
    found: dict[str | None, Opinion] = {}
    for entry in entries:
        if entry.result is None or not entry.finished:
            continue
        key, text = _says(entry.result)
        before = found.get(key, Opinion(text, ()))
        found[key] = replace(before, models=(*before.models, entry.card.name))
    return sorted(found.values(), key=lambda opinion: -len(opinion.models))


def to_dict(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the comparison as the object that `/compare` gives."""
    said = opinions(entries)
    return {
        "models": [
            {
                "model": entry.card.name,
                "title": entry.card.title,
                "f1": entry.card.f1,
                "error": entry.error,
                "result": entry.result.to_dict() if entry.result else None,
            }
            for entry in entries
        ],
        "opinions": [{"text": each.text, "models": list(each.models)} for each in said],
        "agree": len(said) == 1,
    }


def _says(result: Result) -> tuple[str | None, str | None]:
    """Return the best answer as it is compared, and as it stands."""
    if result.probably_no_answer or not result.answers:
        return None, None
    text = result.answers[0].text
    return normalize(text) or text, text
