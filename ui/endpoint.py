"""What other programs call over HTTP: `/answer` gives as JSON what the command line gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components.api_component import Api

from qa import QAError
from ui.answers import carried
from ui.readers import Readers


class Blocks(gr.Blocks):
    """Gradio's, except that calls by position, too, may leave out what has a default."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *rest: Any, **named: Any
    ) -> list[Any]:
        left_out = [
            block.value for block in block_fn.inputs[len(inputs) :] if isinstance(block, Api)
        ]
        complete = [*inputs, *left_out]
        values: list[Any] = await super().preprocess_data(block_fn, complete, *rest, **named)
        return values


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
        try:
            found = readers.get(model).answer(question, passage, 3 if top_k is None else top_k)
        except QAError as error:
            raise gr.Error(carried(str(error)), print_exception=False) from error
        result = found.to_dict()
        # Lone surrogates, which a passage may hold, cannot be sent as JSON.
        for entry in result["answers"]:
            entry["text"] = carried(entry["text"])
        return result

    return answer
