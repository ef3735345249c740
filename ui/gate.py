"""What stands between visitors and Gradio: who comes too often, brings too much or wants what this
app does not serve is told so before any work begins. And `/health`, for whoever keeps it running.

Gradio's own server also hands out the files it keeps for visitors and fetches addresses for them;
this app needs neither, so nobody gets either.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui import log, uploads
from ui.closing import Closing
from ui.limits import Limits
from ui.readers import Readers

_API = "/gradio_api/"
_UPLOAD = f"{_API}upload"
# What joins the queue; what else is posted is answered at once, or not at all.
_JOINING = (f"{_API}queue/join", f"{_API}call/")
_UNSERVED = tuple(
    _API + name
    for name in ("file", "proxy", "stream", "component_server", "process_recording", "vibe", "runs")
)
_FREE = (f"{_API}cancel", f"{_API}reset")  # they end work
_VISITORS = 10_000  # remembered at once


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, limits: Limits, closing: Closing) -> None:
        self._app = app
        self._limits = limits
        self._closing = closing
        self._rate = Rate(limits.requests_a_minute) if limits.requests_a_minute else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(scope)
        if refusal is None and scope["method"] == "POST":
            most, wrong = self._most(scope)
            if int(_header(scope, b"content-length") or 0) > most:
                refusal = JSONResponse({"detail": wrong}, 413)
            else:
                receive = _Counted(receive, most, wrong)
        await (refusal or self._serve)(scope, receive, send)

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

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        path = _path(scope)
        if path.startswith(_UNSERVED):
            return JSONResponse({"detail": "There is nothing here."}, 404)
        if scope["method"] != "POST" or not path.startswith(_API) or path.startswith(_FREE):
            return None
        if self._closing.begun:
            return _busy("Verbatim is being stopped; try again in a minute.")
        if self._rate and (wait := self._rate.wait(_visitor(scope))):
            return JSONResponse(
                {
                    "detail": f"More than {self._limits.requests_a_minute} requests in a minute "
                    f"came from you, the limit here; try again in {wait} seconds."
                },
                429,
                {"Retry-After": str(wait)},
            )
        if path.startswith(_JOINING) and waiting(scope) >= self._limits.waiting:
            return _busy(
                f"Verbatim is busy: {self._limits.waiting} requests are waiting already; try again "
                "in a minute."
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
            f"The passage has more than {self._limits.characters:,} characters, the limit; ask "
            "about a part of it."
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


def _explain(error: Exception, path: str) -> JSONResponse:
    """Say as much of what went wrong as helps whoever sent the request."""
    if isinstance(error, OSError) and path.startswith(_UPLOAD):
        return JSONResponse({"detail": "This host has no room for files; paste the text."}, 507)
    return JSONResponse({"detail": "This request makes no sense here."}, 500)


def _busy(sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, 503, {"Retry-After": "60"})


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
