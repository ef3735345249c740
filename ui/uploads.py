"""Files that visitors send, from their first byte until they are read or given up.

They lie in a folder of their own below Gradio's, which takes so much and no more, and whatever
nobody opened is removed from it, an earlier run's included. Left to itself Gradio forgets what it
keeps when it is killed, keeps equal files of two visitors as one, which is gone for both when the
first has read it, and leaves what it has of a file for good where the sending ends early.
"""

from __future__ import annotations

import math
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from gradio import route_utils, routes
from gradio.utils import get_upload_folder
from starlette.exceptions import HTTPException

_BLOCK = 4096  # bytes that a disk keeps the smallest file in
# What Gradio calls a file while it is sent, and the folder that it moves to once it is whole.
_SENT = re.compile(r"tmp\w+|[0-9a-f]{64}")

_coming: ContextVar[list[_Upload] | None] = ContextVar("coming", default=None)
_take_in = route_utils.upload_fn


def folder() -> Path:
    """Return where they lie: nothing but them, whatever else is kept in Gradio's folder."""
    return Path(get_upload_folder()) / "verbatim-uploads"


class Sent(NamedTuple):
    """A file that was sent: our copy, and its name where it came from, some characters of which the
    copy's may lack."""

    path: Path
    name: str


class Room:
    """How many bytes the files may have that are sent within so many `seconds` and not yet read;
    older ones are gone. Safe to share between threads."""

    def __init__(self, most: float = math.inf, seconds: float = math.inf) -> None:
        self._most = most
        self._seconds = seconds
        self._taken: dict[str, tuple[float, int]] = {}  # when last, and how much; the oldest first
        self._all = 0
        self._lock = threading.Lock()

    def take(self, file: str, size: int) -> None:
        """Take room for so many more bytes of a file. Raises HTTPException where there is none."""
        now = time.monotonic()
        with self._lock:
            while self._taken and next(iter(self._taken.values()))[0] < now - self._seconds:
                self._give_back(next(iter(self._taken)))
            if self._all + size > self._most:
                raise HTTPException(
                    507, "This host has no room for more files now; paste the text or try later."
                )
            self._all += size
            self._taken[file] = (now, size + self._taken.pop(file, (now, 0))[1])

    def give_back(self, file: str) -> None:
        """Give back what a file took, if it did."""
        with self._lock:
            self._give_back(file)

    def _give_back(self, file: str) -> None:
        self._all -= self._taken.pop(file, (0, 0))[1]


_room = Room()


class _Folder:
    """The name of the folder that a file moves to. Gradio makes it of what is in the file."""

    def __init__(self) -> None:
        self._name = secrets.token_hex(32)  # a folder that no other file has

    def update(self, data: bytes) -> None:
        """Be told more of what is in the file."""

    def hexdigest(self) -> str:
        return self._name


class _Upload(route_utils.GradioUploadFile):
    """A file while it is sent. `file` is its temporary one."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sha: Any = _Folder()
        if (coming := _coming.get()) is not None:
            coming.append(self)
        _room.take(self.sha.hexdigest(), _BLOCK)

    async def write(self, data: bytes) -> None:
        _room.take(self.sha.hexdigest(), len(data))
        await super().write(data)


async def _take_into_folder(request: Any, upload_dir: str, *rest: Any, **named: Any) -> Any:
    return await _take_in(request, folder(), *rest, **named)


route_utils.GradioUploadFile = _Upload  # type: ignore[misc]
routes.upload_fn = _take_into_folder  # type: ignore[attr-defined]


def keep_tidy(most: int, look_every: float, oldest: float) -> None:
    """Take in no more than so many bytes at once. Remove what is `oldest` seconds old, whichever
    run of the app it was sent to, now and every so many seconds."""
    global _room
    _room = Room(most, look_every + oldest)
    with suppress(OSError):  # whoever sends a file is told that there is no room
        folder().mkdir(0o700, parents=True, exist_ok=True)  # file names are nobody else's business

    def tidy() -> None:
        while True:
            sweep(oldest)
            time.sleep(look_every)

    threading.Thread(target=tidy, name="uploads", daemon=True).start()


def sweep(oldest: float) -> None:
    """Remove what was sent so many seconds ago. What another app takes in meanwhile stays."""
    for sent in folder().glob("*"):
        with suppress(OSError):  # it was opened and removed meanwhile
            if _SENT.fullmatch(sent.name) and sent.lstat().st_mtime < time.time() - oldest:
                shutil.rmtree(sent) if sent.is_dir() else sent.unlink()


@contextmanager
def tidied() -> Iterator[None]:
    """Remove what was sent of files that are not whole when the block ends."""
    coming: list[_Upload] = []
    token = _coming.set(coming)
    try:
        yield
    finally:
        _coming.reset(token)
        for upload in coming:
            with suppress(OSError):  # of a full disk
                upload.file.close()
            Path(str(upload.file.name)).unlink(missing_ok=True)
            name = upload.sha.hexdigest()
            with suppress(OSError):  # of a file that is in it
                (folder() / name).rmdir()
            if not (folder() / name).exists():
                _room.give_back(name)


def remove(file: Path) -> None:
    """Remove a file that was read, and the folder that it had for itself."""
    file.unlink(missing_ok=True)
    with suppress(OSError):
        file.parent.rmdir()
    _room.give_back(file.parent.name)
