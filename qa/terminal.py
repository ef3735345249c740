"""What the terminal is told on standard error: what is wrong with a command, and progress for a
person who watches."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from qa.store import Progress


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}; see {self.prog} --help.\n")


def count_questions(total: int) -> Callable[[int], None]:
    """Show a count on standard error, where a person is watching."""

    def show(done: int) -> None:
        if sys.stderr.isatty() and (done % 20 == 0 or done == total):
            print(
                f"\r{done:,} of {total:,} questions",
                end="\n" if done == total else "",
                file=sys.stderr,
            )

    return show


@contextmanager
def fetch_progress(name: str) -> Iterator[Callable[[Progress], None]]:
    """Show on standard error how far a fetch is: as a line that changes where a person is watching,
    elsewhere as a line every ten seconds and at the end of each step."""
    watched, shown_at, width = sys.stderr.isatty(), time.monotonic(), 0

    def show(progress: Progress) -> None:
        nonlocal shown_at, width
        now = time.monotonic()
        changes = progress.step == "fetch" and progress.done < progress.total
        if changes and not watched and now < shown_at + 10:
            return
        shown_at = now
        match progress.step:
            case "wait":
                line = f"Another process is fetching {name}; waiting for it"
            case "convert":
                line = f"Converting {name}"
            case "fetch":
                line = f"{name}: {progress.amount}"
        # Spaces cover what is left of the line before.
        start, end = ("\r", "" if changes else "\n") if watched else ("", "\n")
        print(f"{start}{line:<{width}}", end=end, file=sys.stderr, flush=True)
        width = len(line) if changes and watched else 0

    try:
        yield show
    finally:
        if width:  # an error has a line of its own
            print(file=sys.stderr)
