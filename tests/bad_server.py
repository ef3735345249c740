"""A web server on this machine that misbehaves as told."""

import gzip
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer."""

    status: int = 0  # answers this instead
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # sends this many bytes of what it promises, and hangs up
    stall: float = 0.0  # seconds before the body
    pause: float = 0.0  # seconds after each 32 KB of it
    lengthless: bool = False  # does not say how long it is
    replace: bytes | None = None  # sends this file instead
    ranges: bool = True  # heeds Range
    shift: int = 0  # sends a range that begins this much later
    etag: str | None = None  # another than usual; "" sends none


class BadServer(ThreadingHTTPServer):
    """Serves a folder. `faults` holds, by the end of a path, what goes wrong with the next requests
    for it, the last one for good; `hurry`, once set, ends all pauses; `requests` are the paths and
    Range headers asked for; `sent` the bytes of all bodies."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.hurry = threading.Event()
        self.requests: list[tuple[str, str]] = []
        self.sent = 0

    def fails(self, path: str, *faults: Fault) -> None:
        self.faults[path] = deque(faults)
        self.hurry.clear()

    def asked(self, path: str) -> list[str]:
        """The Range headers of all requests for paths that end so."""
        return [range_ for asked, range_ in self.requests if asked.endswith(path)]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up here as a matter of course."""


@contextmanager
def serving(root: Path) -> Iterator[BadServer]:
    server = BadServer(root)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = cast(BadServer, self.server)
        range_ = self.headers.get("Range", "")
        server.requests.append((self.path, range_))
        fault = Fault()
        for end, faults in server.faults.items():
            if self.path.endswith(end) and faults:
                fault = faults.popleft() if len(faults) > 1 else faults[0]
        file = server.root / self.path.lstrip("/")
        body = fault.replace if fault.replace is not None else _read(file)
        if fault.status or body is None:
            self.send_response(fault.status or 404)
            self._headers(fault.headers | {"Content-Length": "0"})
            return
        etag = fault.etag if fault.etag is not None else f'"{len(body)}-{body[-9:].hex()}"'
        first, status, headers = 0, 200, {"ETag": etag} if etag else {}
        if range_ and fault.ranges and self.headers.get("If-Range", etag) == etag:
            first = int(range_.removeprefix("bytes=").removesuffix("-")) + fault.shift
            status = 206 if first < len(body) else 416
            span = f"{first}-{len(body) - 1}" if status == 206 else "*"
            headers["Content-Range"] = f"bytes {span}/{len(body)}"
        body = body[first:]
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        if not fault.lengthless:
            headers["Content-Length"] = str(len(body))
        time.sleep(fault.stall)
        self.send_response(status)
        self._headers(headers | fault.headers)
        body = body[: fault.cut]
        for at in range(0, len(body), 1 << 15):
            self.wfile.write(body[at : at + (1 << 15)])
            server.sent += len(body[at : at + (1 << 15)])
            server.hurry.wait(fault.pause)

    def _headers(self, headers: dict[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests read `requests` instead."""


def _read(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
