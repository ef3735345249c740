"""Where the files of a published model are taken from: its publisher, a mirror or a folder.

How one is brought from there, whole, is in download.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from qa import download
from qa.catalog import is_folder
from qa.errors import InputError
from qa.published import Published, RemoteFile

# Brings a file to a path, and reports how many bytes of it are there.
Bring = Callable[[RemoteFile, Path, download.Report], None]


class Source:
    """The publisher's address, or a mirror: an http(s) address or a folder that has the files as
    the publisher does, with or without the model's own folder, or all in one place."""

    def __init__(self, entry: Published, mirror: str | None = None) -> None:
        """Raises InputError where `mirror` is neither an address nor a folder."""
        self._entry = entry
        self._at = _address_or_folder(mirror) if mirror else entry.url
        self._is_mirror = bool(mirror)

    @contextmanager
    def open(self) -> Iterator[Bring]:
        """Yield what brings a file. Raises QAError where the web cannot be used from here."""
        at = self._at
        if isinstance(at, Path):
            yield lambda file, target, report: download.from_folder(
                [at / place for place in self._places(file)], file, target, report
            )
            return
        with download.client(urlsplit(at).scheme) as client:
            yield lambda file, target, report: download.from_web(
                client, [f"{at}/{place}" for place in self._places(file)], file, target, report
            )

    def _places(self, file: RemoteFile) -> list[str]:
        """Return the paths to look for a file at, the likeliest first."""
        if not self._is_mirror:
            return [file.path]
        return list(dict.fromkeys([f"{self._entry.name}/{file.path}", file.path, file.name]))


def _address_or_folder(mirror: str) -> str | Path:
    if _is_address(mirror):
        return mirror.rstrip("/")
    if mirror.startswith("file:///"):
        folder = Path(url2pathname(mirror.removeprefix("file://")))
    elif "://" in mirror:
        raise InputError(
            "The mirror cannot be used: give a folder, or a whole address such as "
            "https://example.org/models."
        )
    else:
        try:
            folder = Path(mirror).expanduser()
        except RuntimeError:  # the home of nobody here
            folder = Path(mirror)
    if not is_folder(folder):
        raise InputError(f"The mirror {mirror} cannot be used: there is no such folder.")
    return folder


def _is_address(mirror: str) -> bool:
    """Say whether this is an http(s) address, with a name and a port that can be asked."""
    try:
        port = urlsplit(mirror).port
        address = httpx.URL(mirror)
        return (
            address.scheme in ("http", "https") and bool(address.host.encode("idna")) and port != 0
        )
    except (httpx.InvalidURL, ValueError):
        return False
