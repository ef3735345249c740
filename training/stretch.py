"""One stretch of a computation that takes longer than a machine is free: alone in its folder, ended
by a signal between two steps, and leaving whole files however it ends.

What is computed, and how it is gone on with, is not known here.
"""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


@contextmanager
def alone_in(folder: Path, pid_file: Path | None = None) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back however the process ends; `pid_file` has
    the process id meanwhile.

    Raises ValueError where another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"Another run is writing to {folder}: stop it first.") from None
        if pid_file:
            pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
        try:
            yield
        finally:
            if pid_file:
                pid_file.unlink(missing_ok=True)


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """The SIGTERM and SIGINT signals received so far, instead of dying of them."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def replace(partial: Path, path: Path) -> None:
    """Move a file into place once it is on the disk: a crash leaves the old one or the new one."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
