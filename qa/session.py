"""One ONNX model: a window in, its start and end logits out.

Inputs and outputs are found in the graph by role, whatever they are called; where the graph wants
a fixed length, windows are padded to it. What the logits mean is not known here.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np

from qa import engines
from qa.errors import OutOfMemoryError, QAError
from qa.spans import WindowLogits
from qa.windows import Window

# What exporters call each input; the first is the name the Open Model Zoo and transformers use
# today, the second google-research/bert's. A graph whose names say nothing (the 2020 Open Model Zoo
# release) goes by order.
_INPUT_NAMES = {
    "input_ids": ("input_ids", "result.1"),
    "attention_mask": ("attention_mask", "input_mask", "result.2"),
    "token_type_ids": ("token_type_ids", "segment_ids", "result.3"),
    "position_ids": ("position_ids",),
}
_START_NAMES = ("output_s", "start_logits", "start")
_END_NAMES = ("output_e", "end_logits", "end")

# Tokens of the windows that tell one engine from another: some take their time with every new
# length, and the passages that people bring are of all lengths.
TRIED = (64, 96, 128, 160, 192)


class Session:
    """A loaded model. Safe to share between threads."""

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        engine: str = engines.DEFAULT,
        *,
        fits_16_bits: bool = False,
    ) -> None:
        """Load the model at `path` to run on `threads` processors, by default all it may use.
        `fits_16_bits` is what its card says of it.

        Raises QAError where the file is no model the engine can run, or not one of this kind.
        """
        self.engine = engine
        self._session = engines.session(path, engine, threads, fits_16_bits=fits_16_bits)
        self._inputs = self._input_roles(path)
        self._outputs = self._output_roles(path)
        shape = self._session.get_inputs()[0].shape
        # Tokens of every window, None where the graph takes any number.
        self.length: int | None = (
            shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None
        )

    @classmethod
    def load(
        cls,
        path: Path,
        threads: int | None = None,
        engine: str | None = None,
        *,
        fits_16_bits: bool = False,
    ) -> Self:
        """Load the model to run with the engine that `engines.chosen` says, or where that is
        `auto`, with the one that reads windows of TRIED tokens in the least time.

        Raises InputError where there is no such engine, QAError as the constructor does.
        """
        engine = engines.chosen(engine)
        names = engines.available() if engine == engines.AUTO else (engine,)
        if len(names) == 1:
            return cls(path, threads, *names, fits_16_bits=fits_16_bits)
        tried: dict[float, Self] = {}
        for name in names:
            with suppress(QAError):  # an engine that cannot run this model is none for it
                session = cls(path, threads, name, fits_16_bits=fits_16_bits)
                tried[session._try()] = session
        if tried:
            return tried[min(tried)]
        return cls(path, threads, fits_16_bits=fits_16_bits)  # which says what is wrong

    def run(self, window: Window) -> WindowLogits:
        """Run one window. Raises OutOfMemoryError where memory does not suffice, QAError where the
        model cannot."""
        length = len(window.input_ids)
        width = max(length, self.length or 0)
        by_role = {
            "input_ids": window.input_ids,
            "attention_mask": np.ones(length, np.int64),
            "token_type_ids": window.token_type_ids,
            "position_ids": np.arange(width),
        }
        feeds = {}
        for role, (name, dtype) in self._inputs.items():
            row = by_role[role]
            if len(row) < width:
                row = np.pad(row, (0, width - len(row)))
            feeds[name] = row[None].astype(dtype, copy=False)
        try:
            outputs = self._session.run(self._outputs, feeds)
        except Exception as error:  # its exceptions have no common base
            if engines.out_of_memory(error):
                raise OutOfMemoryError from error
            raise QAError("The model could not read this window; install it again.") from error
        if any(output.size != width for output in outputs):  # hidden states, say
            raise QAError("The model gives no start and end logits; choose another model.")
        start, end = (np.asarray(output, np.float32).reshape(-1)[:length] for output in outputs)
        return WindowLogits(window.first, window.count, window.offset, start, end)

    def _try(self) -> float:
        """Return the seconds that windows of TRIED tokens take; the first is left out, which sets
        things up."""
        started = 0.0
        for tokens in TRIED:
            ids = np.arange(min(tokens, self.length or tokens))
            self.run(Window(0, len(ids) - 2, 1, ids, np.zeros_like(ids)))
            started = started or time.perf_counter()
        return time.perf_counter() - started

    def _input_roles(self, path: Path) -> dict[str, tuple[str, type[np.generic]]]:
        """Return the graph's name and type for each role it has."""
        roles = {name: role for role, names in _INPUT_NAMES.items() for name in names}
        found: dict[str, tuple[str, type[np.generic]]] = {}
        for value, by_order in zip(self._session.get_inputs(), _INPUT_NAMES, strict=False):
            role = roles.get(value.name, by_order)
            found[role] = (value.name, np.int32 if value.type == "tensor(int32)" else np.int64)
        if "input_ids" not in found or len(found) != len(self._session.get_inputs()):
            raise QAError(
                f"{path} does not take tokens as a BERT-like model does; choose another model."
            )
        return found

    def _output_roles(self, path: Path) -> list[str]:
        """Return the names of the start and the end logits."""
        names = [value.name for value in self._session.get_outputs()]
        if len(names) < 2:
            raise QAError(
                f"{path} gives no start and end logits, so it cannot answer; choose another model."
            )
        start = next((name for name in _START_NAMES if name in names), names[0])
        end = next((name for name in _END_NAMES if name in names), names[1])
        return [start, end]
