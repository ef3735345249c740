"""One published file, from the web or a folder, onto the disk: whole, and right byte for byte.

Goes on where an earlier attempt stopped and tries again where that can help. What the file is for,
and where it belongs, is not known here.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx

from qa.errors import QAError
from qa.published import RemoteFile

TIMEOUT = httpx.Timeout(30, connect=10)  # seconds without a byte, or to get through at all
ATTEMPTS = 5  # in a row that bring nothing new
BACK_OFF = 0.5  # seconds before the second attempt, twice as many before each one after it
LONGEST_WAIT = 30.0  # seconds that a server's Retry-After is heeded
CHUNK = 1 << 20
_NOT_THERE = {403, 404, 410}  # object stores answer 403 for what they do not have
_PASSING = {408, 425, 429, 500, 502, 503, 504}

Report = Callable[[int], object]  # called with the bytes of the file that are there


class BrokenOffError(QAError):
    """The connection failed for good; what has arrived is kept and will be gone on from."""


class _NotThereError(Exception):
    """There is nothing at this address."""


class _PassingError(Exception):
    """This attempt failed in a way the next may not. `wait` is what the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def client(scheme: str) -> httpx.Client:
    """Return a client for addresses of this scheme, "http" or "https". Redirects may lead to http
    or https, but never from https back to http.

    Raises QAError where the environment's proxy or certificate settings cannot be used.
    """
    allowed = {"https"} if scheme == "https" else {"http", "https"}

    def check(request: httpx.Request) -> None:
        if request.url.scheme not in allowed:
            raise QAError(
                f"The server redirects to {_shown(request.url)}, which is not trusted; "
                "choose another."
            )

    try:
        return httpx.Client(
            follow_redirects=True,
            max_redirects=5,
            timeout=TIMEOUT,
            # Compressed on the way, a file would have other sizes and ranges than its own.
            headers={"Accept-Encoding": "identity", "User-Agent": "verbatim"},
            event_hooks={"request": [check]},
        )
    except (ImportError, ValueError, OSError) as error:
        raise QAError(
            f"The proxy or certificates set in this environment cannot be used: {error}."
        ) from error


def from_web(
    client: httpx.Client, addresses: Sequence[str], file: RemoteFile, target: Path, report: Report
) -> None:
    """Fetch `file` from the first address that has it to `target`.

    Raises BrokenOffError where the server cannot be reached or breaks off again and again,
    QAError where it does not have the file, or has another in its place.
    """
    part = _Part(target)
    for address in addresses:
        try:
            _download(client, address, file, part, report)
            if part.pieced and not part.holds(file):
                # The pieces may be of two versions, or an earlier run's damaged: once in one piece.
                part.discard()
                _download(client, address, file, part, report)
        except _NotThereError:
            continue
        _accept(part, file, _shown(httpx.URL(address)), target)
        return
    shown = " or ".join(_shown(httpx.URL(address)) for address in addresses)
    raise QAError(f"There is no {shown}; choose a source that has it.")


def from_folder(paths: Sequence[Path], file: RemoteFile, target: Path, report: Report) -> None:
    """Copy `file` from the first of `paths` that has it, by its size if possible, to `target`.

    Raises QAError where none does, or another file is in its place.
    """
    there = [path for path in paths if path.is_file()]
    if not there:
        raise QAError(f"There is no {paths[0]}; choose a folder that has it.")
    source = next((path for path in there if path.stat().st_size == file.size), there[0])
    _check_length(source.stat().st_size, file, str(source))
    part = _Part(target)
    part.discard()
    with part.path.open("wb") as out:
        for chunk in _read(source):
            out.write(chunk)
            report(out.tell())
    _accept(part, file, str(source), target)


def sha384(path: Path) -> str:
    """Return a file's SHA-384 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha384").hexdigest()


class _Part:
    """What has arrived of a file, with the server's name (ETag) of the version it is of; `pieced`
    where it did not arrive in one go."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._etag = target.with_name(target.name + ".etag")
        self.pieced = self.path.exists()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def etag(self) -> str:
        return self._etag.read_text(encoding="ascii") if self._etag.exists() else ""

    def holds(self, file: RemoteFile) -> bool:
        return self.size == file.size and sha384(self.path) == file.sha384

    def start(self, etag: str) -> None:
        self.discard()
        # A weak ETag ("W/…") says nothing about bytes.
        if etag.startswith('"') and etag.isascii():
            self._etag.write_text(etag, encoding="ascii")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._etag.unlink(missing_ok=True)
        self.pieced = False

    def finish(self, target: Path) -> None:
        self.path.replace(target)
        self._etag.unlink(missing_ok=True)


def _download(
    client: httpx.Client, address: str, file: RemoteFile, part: _Part, report: Report
) -> None:
    """Attempt until the part is as long as the file."""
    failures, furthest = 0, part.size
    while part.size != file.size:
        try:
            _attempt(client, address, file, part, report)
        except (httpx.TransportError, _PassingError) as error:
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures == ATTEMPTS:
                raise BrokenOffError(
                    f"{_shown(httpx.URL(address))} could not be fetched "
                    f"({str(error) or type(error).__name__}); "
                    "fetch again to go on from here, or choose another source."
                ) from error
            wait = error.wait if isinstance(error, _PassingError) else 0.0
            time.sleep(min(max(wait, BACK_OFF * 2 ** (failures - 1)), LONGEST_WAIT))
        except httpx.HTTPError as error:  # too many redirects
            raise QAError(
                f"{_shown(httpx.URL(address))} could not be fetched: {error}; "
                "choose another source."
            ) from error


def _attempt(
    client: httpx.Client, address: str, file: RemoteFile, part: _Part, report: Report
) -> None:
    """Ask once for what is missing, and keep what comes."""
    have = part.size
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and part.etag:
        headers["If-Range"] = part.etag
    with client.stream("GET", address, headers=headers) as response:
        _check_answer(response, file)
        if have and response.status_code != 200:
            if not _continues(response, part):
                part.discard()
                raise _PassingError("the server sends another part than was asked for")
            part.pieced = True
        else:
            part.start(response.headers.get("ETag", ""))
            have = 0
        with part.path.open("ab") as out:
            for chunk in response.iter_raw():
                have += len(chunk)
                if have > file.size:
                    break
                out.write(chunk)
                report(have)
    if have > file.size:
        part.discard()
        raise _wrong(_shown(response.url), f"it is longer than {file.size:,} bytes")
    if have < file.size:
        raise _PassingError(f"it ended after {have:,} of {file.size:,} bytes")


def _check_answer(response: httpx.Response, file: RemoteFile) -> None:
    """Raise where the server does not send the file, or says that its length is another."""
    shown, status = _shown(response.url), response.status_code
    if status in _NOT_THERE:
        raise _NotThereError
    if status in _PASSING:
        after = response.headers.get("Retry-After", "")
        raise _PassingError(
            f"the server answers {status}", float(after) if after.isdecimal() else 0.0
        )
    ranged = status in (206, 416) and "Range" in response.request.headers
    if status != 200 and not ranged:
        raise QAError(
            f"{shown} could not be fetched: the server answers {status} "
            f"{response.reason_phrase}; choose another source."
        )
    if ranged:
        length = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        length = response.headers.get("Content-Length", "")
    if length.isdecimal():
        _check_length(int(length), file, shown)


def _continues(response: httpx.Response, part: _Part) -> bool:
    """Say whether a ranged answer goes on where the part ends, in the same version of the file."""
    first = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    etag = response.headers.get("ETag", "")
    return (
        response.status_code == 206
        and first is not None
        and int(first[1]) == part.size
        and (not etag or not part.etag or etag == part.etag)
    )


def _check_length(length: int, file: RemoteFile, where: str) -> None:
    if length != file.size:
        raise _wrong(where, f"its length is {length:,} bytes, not {file.size:,}")


def _wrong(where: str, how: str) -> QAError:
    return QAError(
        f"{where} is not the file its publisher describes: {how}; choose another source."
    )


def _accept(part: _Part, file: RemoteFile, where: str, target: Path) -> None:
    """Give the part its name if it is the file. Otherwise raise QAError, and keep nothing of it."""
    if not part.holds(file):
        part.discard()
        raise _wrong(where, "its SHA-384 is another")
    part.finish(target)


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise QAError(f"{path} cannot be read: {error.strerror}.") from error


def _shown(url: httpx.URL) -> str:
    """Return an address without what is secret in it."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
