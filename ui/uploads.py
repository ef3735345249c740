"""Files that visitors send, from their first byte until they are read or given up.

Gradio takes them in and removes those that nobody opens (page.LEFT_BEHIND). Left to itself it keeps
equal files of two visitors as one, which is gone for both when the first has read it, and leaves
what it has of a file for good where the sending ends early.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from gradio import route_utils

_coming: ContextVar[list[_Upload] | None] = ContextVar("coming", default=None)


class _Upload(route_utils.GradioUploadFile):
    """A file while it is sent. `file` is its temporary one, `sha` names the folder that it moves
    to once it is whole."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sha.update(secrets.token_bytes(16))  # a folder that no other file has
        if (coming := _coming.get()) is not None:
            coming.append(self)


route_utils.GradioUploadFile = _Upload  # type: ignore[misc]


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


def remove(file: Path) -> None:
    """Remove a file that was read, and the folder that it had for itself."""
    file.unlink(missing_ok=True)
    with suppress(OSError):
        file.parent.rmdir()
