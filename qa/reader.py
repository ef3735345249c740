"""`Reader`: a question and a passage in, ranked answers out. The facade of the package.

reader = Reader.load()
result = reader.answer("Who lit the lamp?", passage)
result.answers[0].text
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from qa import catalog
from qa.catalog import Frame, ModelCard
from qa.errors import InputError, OutOfMemoryError, QAError, StoppedError, TimeLimitError
from qa.lexical import promising
from qa.session import Session
from qa.spans import SpanLogits, WindowLogits, squad_best
from qa.windows import Passage, Window, Windower, capacity

LONGEST_ANSWER = 30  # tokens, as the cards of the Open Model Zoo evaluate
# Passage tokens that neighbouring windows share: with fewer than LONGEST_ANSWER an answer could be
# lost at a seam.
OVERLAP = 64
SQUAD_DOC_STRIDE = 128
# Of the time of reading, for ranking results so far, which takes longer the longer the passage is.
RANKING_SHARE = 0.03
MAX_CHARACTERS = 10_000_000
MAX_QUESTION_CHARACTERS = 10_000  # many times what any model reads, which cuts the rest
MAX_ANSWERS = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """Words of the passage: `passage[start:end] == text`, offsets in code points; `score` is the
    probability, in [0, 1], that this span is the answer."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a question got: `answers`, best first, none overlapping another.

    `no_answer` is the probability that the passage does not answer the question, None where the
    model has no honest figure; `windows` and `tokens` say how long the passage is, `read` how many
    windows this result comes from; `question_cut` that the question was longer than the model reads
    and its end was left out; `milliseconds` how long each step took.
    """

    model: str
    answers: tuple[Answer, ...]
    no_answer: float | None
    windows: int
    read: int
    tokens: int
    question_cut: bool
    milliseconds: dict[str, float]

    @property
    def complete(self) -> bool:
        """Whether the whole passage has been read."""
        return self.read == self.windows

    @property
    def probably_no_answer(self) -> bool:
        """Whether no answer is likelier than not."""
        return self.no_answer is not None and self.no_answer > 0.5

    def to_dict(self) -> dict[str, Any]:
        """Return what `python -m qa ask --json` prints."""
        return {**asdict(self), "answers": [asdict(answer) for answer in self.answers]}


class Model(Protocol):
    """What the reader asks of a model: `qa.session.Session` is one."""

    def run(self, window: Window) -> WindowLogits: ...


class Reader:
    """A model ready to answer. Safe to share between threads."""

    def __init__(self, card: ModelCard, windower: Windower, model: Model) -> None:
        self.card = card
        self.windower = windower
        self.model = model
        self.engine = ""  # one of qa.engines, where `load` made this reader
        # Whoever offers it to others may want less.
        self.max_characters = MAX_CHARACTERS
        self.max_seconds = math.inf
        self._closed = threading.Event()
        self._wanted: Callable[[], bool] = lambda: True

    @classmethod
    def load(
        cls,
        name: str | Path = catalog.DEFAULT,
        *,
        threads: int | None = None,
        engine: str | None = None,
    ) -> Self:
        """Load a model by catalog name, alias or folder, to run on `threads` processors (by default
        all it may use) with one of `qa.engines` (by default QA_ENGINE's, else ONNX Runtime's own).

        Raises InputError where there is no such model or engine, QAError where it is damaged
        or cannot be run here.
        """
        card = catalog.find(name)
        session = Session.load(
            card.folder / "model.onnx", threads, engine, fits_16_bits=card.fits_16_bits
        )
        frame = _fitting(card.frame, session.length, card.folder)
        windower = Windower(card.folder / "tokenizer.json", frame, LONGEST_ANSWER)
        reader = cls(card, windower, session)
        reader.engine = session.engine
        return reader

    def answer(self, question: str, passage: str, top_k: int = 3) -> Result:
        """Find the `top_k` answers to a question in a passage of any length up to MAX_CHARACTERS.

        Raises InputError where one of them is blank, too long or out of range.
        """
        (result,) = self.stream(question, passage, top_k, pause=math.inf)
        return result

    def stream(
        self,
        question: str,
        passage: str,
        top_k: int = 3,
        *,
        pause: float = 0.2,
        seen: list[WindowLogits] | None = None,
        known: Sequence[WindowLogits] | None = None,
        since: float | None = None,
    ) -> Generator[Result, None, None]:
        """Find answers while the passage is read: return results so far, `pause` seconds of reading
        apart, or more where ranking takes its time; with 0 after every window. The windows that
        promise most are read first (qa/lexical.py). The last result is `answer`'s. Closing the
        iterator stops the reading. `seen` takes in the logits of the windows, for whoever wants to
        look inside them (qa/inside.py); `known` are those of all its windows where the model has
        read it for this question before: it need not read it again.

        Raises InputError as `answer` does, before anything is read; QAError while it is read where
        that takes more than `max_seconds`, pauses included, or more memory than there is, or the
        reader is closed. The time counts from `since`, by time.monotonic(), where this is a part of
        something; else from now.
        """
        _check(question, passage, top_k)
        self.check_length(passage)
        since = time.monotonic() if since is None else since
        clock = _Clock()
        question_ids, question_cut = self.windower.question(question)
        if not question_ids:
            raise InputError(
                "The question has no readable characters; type it in words.", "question"
            )
        clock.lap("tokenize")
        return _in_memory(
            self._stream(
                question_ids, question_cut, passage, top_k, pause, seen, known, since, clock
            )
        )

    def _stream(
        self,
        question: list[int],
        question_cut: bool,
        passage: str,
        top_k: int,
        pause: float,
        seen: list[WindowLogits] | None,
        known: Sequence[WindowLogits] | None,
        since: float,
        clock: _Clock,
    ) -> Generator[Result, None, None]:
        clock.skip()
        tokens = self.tokens(passage, since)
        clock.lap("tokenize")
        order = self.order(question, tokens)
        windows = len(order)
        logits = SpanLogits(tokens.begins, tokens.closes, LONGEST_ANSWER)

        def result(read: int) -> Result:
            ranking = logits.rank(
                top_k, temperature=self.card.temperature, null_bias=self.card.null_bias
            )
            answers = tuple(
                _answer(tokens, span.first, span.last, span.score) for span in ranking.spans
            )
            clock.lap("rank")
            return Result(
                model=self.card.name,
                answers=answers,
                no_answer=ranking.no_answer,
                windows=windows,
                read=read,
                tokens=len(tokens),
                question_cut=question_cut,
                milliseconds=clock.milliseconds(),
            )

        due = time.monotonic() + pause
        read_now = self.logits(question, tokens, None, order, since)
        for read, window in enumerate(read_now if known is None else known, 1):
            logits.add(window)
            if seen is not None:
                seen.append(window)
            if read < windows and time.monotonic() >= due:
                clock.lap("run")
                ranked = time.monotonic()
                so_far = result(read)
                cost = time.monotonic() - ranked
                yield so_far
                clock.skip()
                due = time.monotonic() + (pause and max(pause, cost / RANKING_SHARE))
        clock.lap("run")
        yield result(windows)

    def close(self) -> None:
        """End all reading, at the next window or few pieces of a passage that is being tokenized,
        with StoppedError. From any thread."""
        self._closed.set()

    def wanted_while(self, wanted: Callable[[], bool]) -> Self:
        """Return this reader for somebody who may leave: it shares all it has, and reading with it
        ends with StoppedError where `close` would end it, once `wanted` says False."""
        reader = copy(self)
        reader._wanted = wanted
        return reader

    def check_length(self, passage: str) -> None:
        """Raise InputError where a passage has more than `max_characters`."""
        if len(passage) > self.max_characters:
            raise InputError(
                f"The passage has {len(passage):,} characters, the limit is "
                f"{self.max_characters:,}; ask about a part of it.",
                "passage",
            )

    def tokens(self, passage: str, since: float | None = None) -> Passage:
        """Tokenize a passage, or recall its tokens. `since` is that of `stream`.

        Raises InputError where it is too long, QAError where the work has to end (see `stream` and
        `wanted_while`).
        """
        self.check_length(passage)
        since = time.monotonic() if since is None else since
        return self.windower.passage(passage, lambda: self._check_going_on(since))

    def _check_going_on(self, since: float) -> None:
        if self._closed.is_set():
            raise StoppedError("Verbatim is being stopped; ask again in a minute.")
        if not self._wanted():
            raise StoppedError("Nobody waits for this answer any more; ask again.")
        if time.monotonic() - since > self.max_seconds:
            raise TimeLimitError(
                f"Reading takes longer than {self.max_seconds:,} seconds, the limit here; ask "
                "about a part of the passage."
            )

    def predict_squad(self, question: str, passage: str) -> str:
        """Return the best answer by the protocol of SQuAD model cards: windows that advance by 128
        tokens, run_squad's choice, no rules of ours about words or overlaps. Empty where there is
        no valid span."""
        question_ids, _ = self.windower.question(question)
        tokens = self.windower.passage(passage)
        advance = min(SQUAD_DOC_STRIDE, self.windower.capacity(question_ids))
        windows = list(self.logits(question_ids, tokens, advance))
        best = squad_best(windows, longest=LONGEST_ANSWER)
        return _answer(tokens, *best, 1.0).text if best else ""

    def logits(
        self,
        question: list[int],
        passage: Passage,
        advance: int | None = None,
        order: Iterable[int] | None = None,
        since: float | None = None,
    ) -> Iterator[WindowLogits]:
        """Run the model over window after window of a tokenized passage: what answers are ranked
        from. Windows advance by `advance` tokens, by default as `self.advance` says; they are read
        in the order of these numbers, by default from the first to the last. `since` is that of
        `stream`. Raises QAError where reading has to end (see `stream` and `wanted_while`)."""
        advance = advance or self.advance(question)
        since = time.monotonic() if since is None else since
        for window in self.windower.windows(question, passage, advance, order):
            self._check_going_on(since)
            yield self.model.run(window)

    def order(self, question: list[int], passage: Passage) -> list[int]:
        """Return the numbers, from 0, of the windows of a tokenized passage in the order in which
        `stream` reads them."""
        advance, capacity = self.advance(question), self.windower.capacity(question)
        firsts = np.arange(self.windower.count(question, passage, advance)) * advance
        return [int(number) for number in promising(question, passage.ids, firsts, capacity)]

    def advance(self, question: list[int]) -> int:
        """Return how many tokens windows advance by: as far as an overlap of OVERLAP allows."""
        return self.windower.capacity(question) - OVERLAP


class _Clock:
    """Adds up how long each step took."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self.skip()

    def skip(self) -> None:
        """Leave out the time since the last lap."""
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + (now - self._last) * 1000
        self._last = now

    def milliseconds(self) -> dict[str, float]:
        laps = {**self._laps, "total": sum(self._laps.values())}
        return {name: round(lap, 3) for name, lap in laps.items()}


def _fitting(frame: Frame, length: int | None, folder: Path) -> Frame:
    """Return the frame, no longer than the windows that a graph is fixed at. Raises QAError where
    the longest question leaves no room to move on in a passage."""
    frame = replace(frame, max_sequence=min(frame.max_sequence, length or frame.max_sequence))
    if capacity(frame, frame.max_question) <= OVERLAP:
        raise QAError(
            f"{folder} reads {frame.max_sequence} tokens at once, too few for a question of "
            f"{frame.max_question} and a passage; choose another model."
        )
    return frame


def _in_memory(results: Generator[Result, None, None]) -> Generator[Result, None, None]:
    """Give the results; raise OutOfMemoryError where memory does not suffice for them."""
    try:
        yield from results
    except MemoryError as error:
        raise OutOfMemoryError from error


def _answer(tokens: Passage, first: int, last: int, score: float) -> Answer:
    start, end = int(tokens.starts[first]), int(tokens.ends[last])
    return Answer(tokens.text[start:end], start, end, score)


def _check(question: str, passage: str, top_k: int) -> None:
    """Raise InputError where a question cannot be asked."""
    for name, text in (("question", question), ("passage", passage)):
        if not isinstance(text, str):
            raise InputError(f"The {name} must be text, not {type(text).__name__}.", name)
    if not passage.strip():
        raise InputError("The passage is empty; paste the text to ask about.", "passage")
    if not question.strip():
        raise InputError("The question is empty; type what you want to know.", "question")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise InputError(
            f"The question has {len(question):,} characters, the limit is "
            f"{MAX_QUESTION_CHARACTERS:,}; ask in a sentence.",
            "question",
        )
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= MAX_ANSWERS:
        raise InputError(
            f"The number of answers must be a whole number from 1 to {MAX_ANSWERS}.", "top_k"
        )
