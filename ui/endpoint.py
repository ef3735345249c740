"""What other programs call over HTTP: `/answer` gives as JSON what the command line gives,
`/answer_many` the same for many questions, `/models` the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from qa import InputError, QAError, answer_sheet, catalog, questionnaire
from qa.documents import Document
from ui import log, presence
from ui.readers import Readers


def answer_with(readers: Readers) -> Callable[..., dict[str, Any]]:
    """Return the function behind `/answer`."""

    def answer(
        question: str, passage: str, model: str | None = None, top_k: int | None = 3
    ) -> dict[str, Any]:
        """Find the words of a passage that answer a question.

        Parameters:
            question: What you want to know.
            passage: The text that may say it.
            model: Name or alias of an installed model; the default one if left out.
            top_k: How many answers to return, from 1 to 100.

        Returns:
            An object with model, answers (text, start, end and score each, best first), no_answer,
            windows, tokens, question_cut and milliseconds. An answer's text is passage[start:end]
            (offsets in code points).
        """
        with telling(), log.entry("/answer") as entry:
            reader = readers.get(model).wanted_while(presence.of_caller())
            found = reader.answer(question, passage, 3 if top_k is None else top_k)
            entry.read(found)
            entry.outcome = "answered"
        return found.to_dict()

    return answer


def answer_many_with(readers: Readers) -> Callable[..., dict[str, Any]]:
    """Return the function behind `/answer_many`."""

    def answer_many(
        questions: str, passage: str = "", model: str | None = None, top_k: int | None = 1
    ) -> dict[str, Any]:
        """Find the words that answer each of many questions.

        Parameters:
            questions: One a line; or a CSV with a column question and, if you like, passage, id and
                answer (what you expect); or a JSON text of SQuAD's layout. At most 1,000, where the
                owner of this host sets no other limit.
            passage: The text that questions without a passage of their own are asked of.
            model: Name or alias of an installed model; the default one if left out.
            top_k: How many answers to return for each question, from 1 to 100.

        Returns:
            An object with model, questions (how many), errors (how many), where expected answers
            are known exact_match and f1 in percent over with_reference questions, and rows: for
            each question its id, question, passage (its title), answers (text, start, end and score
            each, best first) and no_answer, or error.
        """
        with telling(), log.entry("/answer_many") as entry:
            _check_texts(questions=questions, passage=passage)
            reader = readers.get(model).wanted_while(presence.of_caller())
            items = questionnaire.read(questions, Document(passage), most=readers.limits.questions)
            rows = []
            for row in answer_sheet.ask(reader, items, 1 if top_k is None else top_k):
                rows.append(row)
                if row.result:
                    entry.read(row.result)
            entry.outcome = "answered"
        return {"model": reader.card.name, **answer_sheet.to_dict(rows)}

    return answer_many


@contextmanager
def telling() -> Iterator[None]:
    """Tell whoever called, in one sentence, what cannot be done."""
    try:
        yield
    except QAError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _check_texts(**texts: object) -> None:
    """Raise InputError where what should be text is none."""
    for name, text in texts.items():
        if not isinstance(text, str):
            raise InputError(f"{name} must be text, not {type(text).__name__}.", name)


def models_with(readers: Readers) -> Callable[[], dict[str, Any]]:
    """Return the function behind `/models`."""

    def models() -> dict[str, Any]:
        """List the models that can be asked, and those that the owner of this host could fetch.

        Returns:
            An object with models: for each its name, aliases, title, whether it is installed and
            answers by default, size in bytes, exact_match and f1 in percent, and more of its card.
        """
        cards = readers.cards()
        there = {card.name for card in cards}
        others = [card for card in catalog.not_installed() if card.name not in there]
        default = readers.default.card.name  # here, whichever that is elsewhere
        return {
            "models": [
                card.to_dict() | {"default": card.name == default} for card in [*cards, *others]
            ]
        }

    return models
