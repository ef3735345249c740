"""A line for every request to answer, look inside or compare, by the pages or over HTTP: when, how
long it took and what came of it.

Nothing that a person wrote stands in it, nor who they are. Lines are JSON objects, and written only
where app.py was told to (`--log`).
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from qa import InputError, Result
from qa.errors import StoppedError

_LOG = logging.getLogger("verbatim")

Outcome = Literal["answered", "stopped", "refused", "failed"]


def start() -> None:
    """Write lines to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False


class Entry:
    """What is noted about one request: fill it in while it is answered."""

    def __init__(self) -> None:
        self.questions = self.tokens = self.windows = 0
        self.outcome: Outcome = "stopped"

    def read(self, result: Result) -> None:
        """Note one more question with the whole of its result, or what was found of it."""
        self.questions += 1
        self.tokens += result.tokens
        self.windows += result.read


@contextmanager
def entry(endpoint: str) -> Iterator[Entry]:
    """Note a request to `endpoint`. One that ends in an exception was refused, if something was
    wrong with what was asked, stopped, or failed."""
    noted, begun = Entry(), time.monotonic()
    try:
        yield noted
    except StoppedError:
        noted.outcome = "stopped"
        raise
    except Exception as error:
        noted.outcome = "refused" if isinstance(error, InputError) else "failed"
        raise
    finally:
        _write(endpoint, noted, time.monotonic() - begun)


def mishap(error: Exception) -> None:
    """Say on standard error where something went wrong that should not. The message may quote what
    was sent, so it is left out."""
    where = "".join(traceback.format_tb(error.__traceback__))
    sys.stderr.write(f"{type(error).__name__} in a request, at\n{where}")


def _write(endpoint: str, noted: Entry, seconds: float) -> None:
    if not _LOG.isEnabledFor(logging.INFO):
        return
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "endpoint": endpoint,
        "milliseconds": round(seconds * 1000),
        "questions": noted.questions,
        "tokens": noted.tokens,
        "windows": noted.windows,
        "outcome": noted.outcome,
    }
    _LOG.info(json.dumps(line))
