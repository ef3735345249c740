"""What stands between visitors and Gradio: who comes too often, brings too much or wants what this
app does not serve is told so before any work begins. And `/health`, for whoever keeps it running.

Gradio's own server also hands out the files it keeps for visitors, fetches addresses for them and
writes down what is on their pages for others to open; this app needs none of it, so nobody gets it.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.exception_handlers import http_exception_handler
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui import log, uploads
from ui.closing import Closing
from ui.limits import LOGINS_A_MINUTE, Limits
from ui.readers import Readers

_API = "/gradio_api/"
_UPLOAD = f"{_API}upload"
_JOINING = (f"{_API}queue/join", f"{_API}call/")
_UNQUEUED = f"{_API}run/"  # the pages' events that do not queue
# What the pages, gradio_client, MCP clients and Gradio's own start need of its API.
_SERVED = tuple(
    _API + name
    for name in (
        *("app_id", "call/", "cancel", "heartbeat/", "info", "mcp", "openapi.json", "queue/data"),
        *("queue/join", "reset", "run/", "startup-events", "theme.css", "upload"),
    )
)
_UNSERVED = ("/monitoring", "/openapi.json", "/pwa_icon/")  # of what is not its API
_FREE = (f"{_API}cancel", f"{_API}reset")  # they end work
_LOGIN = "/login"
_VISITORS = 10_000  # remembered at once


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, limits: Limits, closing: Closing) -> None:
        self._app = app
        self._limits = limits
        self._closing = closing
        self._rate = Rate(limits.requests_a_minute) if limits.requests_a_minute else None
        self._logins = Rate(LOGINS_A_MINUTE)
        # From whom requests are that are just being taken in or answered at once.
        self._coming: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(scope)
        if refusal is None and scope["method"] == "POST":
            most, wrong = self._most(scope)
            if int(_header(scope, b"content-length") or 0) > most:
                refusal = _told(_path(scope), 413, wrong)
            else:
                receive = _Counted(receive, most, wrong)
        if refusal:
            await refusal(scope, receive, send)
        else:
            with self._noted(scope):
                await self._serve(scope, receive, send)

    @contextmanager
    def _noted(self, scope: Scope) -> Iterator[None]:
        """Know of a request until it is in Gradio's queue or was answered without."""
        visitors = [_visitor(scope)] if _takes_work(scope) else []
        self._coming += visitors
        try:
            yield
        finally:
            for visitor in visitors:
                self._coming.remove(visitor)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; what goes wrong with it is not told as Gradio's server tells it."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            with uploads.tidied():
                await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - this is where they end
            log.mishap(error)
            if not begun:
                await _explain(error, _path(scope))(scope, receive, send)

    def _refuse(self, scope: Scope) -> Response | None:
        path = _path(scope)
        if not _is_served(path, scope):
            return _told(path, 404, "There is nothing here.")
        if scope["method"] != "POST":
            return None
        visitor = _visitor(scope)
        if path == _LOGIN and (wait := self._logins.wait(visitor)):
            return _too_many(path, f"More than {LOGINS_A_MINUTE} logins in a minute", wait)
        if not path.startswith(_API) or path.startswith(_FREE):
            return None
        if self._closing.begun:
            return _busy(path, "Verbatim is being stopped; try again in a minute.")
        if self._rate and (wait := self._rate.wait(visitor)):
            return _too_many(
                path, f"More than {self._limits.requests_a_minute} requests in a minute", wait
            )
        return self._refuse_work(scope, path, visitor) if _takes_work(scope) else None

    def _refuse_work(self, scope: Scope, path: str, visitor: str) -> Response | None:
        """Refuse what comes on top of as much as can wait."""
        most = self._limits.waiting
        if (len(self._coming) if path.startswith(_UNQUEUED) else waiting(scope)) >= most:
            return _busy(
                path,
                f"Verbatim is busy: {most} requests are waiting already; try again in a minute.",
            )
        if self._rate:
            most = self._limits.requests_at_once
            if self._coming.count(visitor) + _in_queue(scope, visitor) >= most:
                return _told(
                    path,
                    429,
                    f"{most} requests of yours are waiting or worked on, the limit here; try again "
                    "when one of them is answered.",
                )
        return None

    def _most(self, scope: Scope) -> tuple[int, str]:
        """Return how many bytes a request may have, and what to say of one that has more."""
        if _path(scope).startswith(_UPLOAD):
            # Headings between the files come on top.
            most = self._limits.file_bytes + 1_000_000
            megabytes = f"{self._limits.file_bytes / 1e6:,.0f} MB"
            return most, f"Files opened at once may have {megabytes} together; choose fewer."
        return self._limits.body_bytes, (
            f"What was sent is too long: a passage may have {self._limits.characters:,} "
            "characters here; send less at once."
        )


class Rate:
    """How often each visitor comes: a bucket that holds a minute's requests and fills evenly."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, visitor: str, now: float | None = None) -> int:
        """Count a request. Return 0, or after how many seconds the next one will be let in."""
        now = time.monotonic() if now is None else now
        left, then = self._buckets.pop(visitor, (float(self._a_minute), now))
        left = min(self._a_minute, left + (now - then) * self._a_minute / 60)
        let_in = left >= 1
        self._buckets[visitor] = (left - let_in, now)
        if len(self._buckets) > _VISITORS:
            self._buckets.popitem(last=False)  # who has not come for longest
        return 0 if let_in else int((1 - left) * 60 / self._a_minute) + 1


class _Counted:
    """Takes in a body, and no more of it than it may have, whatever its length was said to be."""

    def __init__(self, receive: Receive, most: int, wrong: str) -> None:
        self._receive = receive
        self._left = most
        self._wrong = wrong

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, self._wrong)
        return message


def health(readers: Readers, closing: Closing) -> Route:
    """Return the route of `/health`. Where the app is being stopped, its answer is 503."""

    async def answer(_: Request) -> JSONResponse:
        status = "stopping" if closing.begun else "ok"
        state = {"status": status, "model": readers.default.card.name}
        return JSONResponse(state, 503 if closing.begun else 200, {"Cache-Control": "no-store"})

    return Route("/health", answer, methods=["GET"])


def waiting(scope: Scope) -> int:
    """Return how many requests are in Gradio's queue."""
    return len(scope["app"].get_blocks()._queue)


def _in_queue(scope: Scope, visitor: str) -> int:
    """Return how many requests of a visitor wait in Gradio's queue or were taken from it and are
    worked on, whichever sessions they say they are of."""
    queue = scope["app"].get_blocks()._queue
    batches = [each.queue for each in queue.event_queue_per_concurrency_id.values()]
    batches += filter(None, queue.active_jobs)
    return sum(_visitor(event.request.scope) == visitor for batch in batches for event in batch)


def _is_served(path: str, scope: Scope) -> bool:
    if path.startswith(_API):
        return path.startswith(_SERVED)
    # A deep link shows what somebody else had on their page.
    return not path.startswith(_UNSERVED) and "deep_link" not in QueryParams(scope["query_string"])


def _takes_work(scope: Scope) -> bool:
    return scope["method"] == "POST" and _path(scope).startswith((*_JOINING, _UNQUEUED))


def _explain(error: Exception, path: str) -> Response:
    """Say as much of what went wrong as helps whoever sent the request."""
    if isinstance(error, OSError) and path.startswith(_UPLOAD):
        return _told(path, 507, "This host has no room for files; paste the text.")
    return _told(path, 500, "This request makes no sense here.")


async def explain(request: Request, error: HTTPException) -> Response:
    """Answer a request that was refused by an HTTPException while it was worked on."""
    path = _path(request.scope)
    # Who is not logged in is told more than a sentence.
    if path.startswith(_UPLOAD) and isinstance(error.detail, str):
        return _told(path, error.status_code, error.detail)
    return await http_exception_handler(request, error)


def _too_many(path: str, what: str, wait: int) -> Response:
    sentence = f"{what} came from you, the limit here; try again in {wait} seconds."
    return _told(path, 429, sentence, wait)


def _busy(path: str, sentence: str) -> Response:
    return _told(path, 503, sentence, 60)


def _told(path: str, status: int, sentence: str, wait: int | None = None) -> Response:
    """Say what is wrong, and after how many seconds to try again where that is known."""
    headers = {"Retry-After": str(wait)} if wait else None
    if path.startswith(_UPLOAD):  # the page shows what it is told as it came
        return PlainTextResponse(sentence, status, headers)
    return JSONResponse({"detail": sentence}, status, headers)


def _path(scope: Scope) -> str:
    """Return the path below the app's own, however many slashes it has."""
    path: Any = scope["path"]
    return "/" + "/".join(filter(None, path.removeprefix(scope.get("root_path", "")).split("/")))


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _visitor(scope: Scope) -> str:
    """Return whom a request comes from: an address, of IPv6 the network that one customer has."""
    host = scope["client"][0] if scope["client"] else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
