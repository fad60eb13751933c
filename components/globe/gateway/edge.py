"""The edge of the application: what every request and every answer gets, whatever its route."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from globe.gateway.refused import Refused
from globe.gateway.request_id import CURRENT, HEADER, named
from globe.gateway.state import Gateway
from globe.served import MODEL_HEADER

LOG = logging.getLogger(__name__)
QUESTIONS = frozenset(("/locate", "/v1/chat/completions"))
"""Paths whose requests are work for the model: no more than `max_concurrent` of them at once."""
FULL_S = 1.0
_SAFE = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


class Edge:
    """ASGI middleware around everything else.

    It names each request, says with each answer which model this is, asks clients to connect anew while the process is about to
    end, and turns a mistake of ours into an error without a traceback.
    """

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app, self._gateway = app, gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = [value for name, value in scope["headers"] if name == HEADER.encode()]
        CURRENT.set(named(told[0].decode("latin-1") if len(told) == 1 else None))
        marked = _Marked(send, self._gateway)
        started_s = time.monotonic()
        try:
            await self._app(scope, receive, marked)
        except Refused as refused:
            await marked.error(refused)
        except Exception as error:
            # Its text may quote what a client sent, so only what is ours is logged: the kind, and where it came up.
            LOG.error("%s: %s at %s", CURRENT.get(), type(error).__name__, _where(error))
            await marked.error(Refused(500, "something is wrong here; it has been logged under this request's id", "internal"))
        finally:
            self._gateway.metrics.answered(scope, marked.status, time.monotonic() - started_s)


class Crowd:
    """ASGI middleware around the routes: counts the questions that are being answered, and refuses one too many.

    It stands inside of what reads bodies, so that whoever sends slowly takes nobody's place.
    """

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app, self._gateway = app, gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, unless too many are being answered."""
        status = self._gateway.status
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in QUESTIONS:
            await self._app(scope, receive, send)
            return
        if status.in_flight >= self._gateway.settings.max_concurrent:
            raise Refused(503, "too many requests are being answered just now; ask again", "overloaded", retry_after_s=FULL_S)
        status.in_flight += 1
        status.asked_s = time.monotonic()
        try:
            await self._app(scope, receive, send)
        finally:
            status.in_flight -= 1


class _Marked:
    """Sends an answer with the headers that all have."""

    def __init__(self, send: Send, gateway: Gateway) -> None:
        self._send, self._state = send, gateway.status
        self.status = 0
        """The answer's; 0 before it has begun."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers({name for name, _ in message.get("headers", ())})]
        await self._send(message)

    async def error(self, refused: Refused) -> None:
        """An error as the whole answer; nothing if one has begun, and then the server breaks the connection off."""
        if self.status:
            raise RuntimeError("an answer that had begun was broken off") from None
        headers, body = refused.written()
        start = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": refused.status, "headers": start})
        await self({"type": "http.response.body", "body": body})

    def _headers(self, given: set[bytes]) -> list[tuple[bytes, bytes]]:
        ours = [(HEADER.encode(), CURRENT.get().encode()), *_SAFE]
        if self._state.digest:
            ours.append((MODEL_HEADER.encode(), self._state.digest.encode()))
        if self._state.leaving:
            ours.append((b"connection", b"close"))
        return [header for header in ours if header[0] not in given]


def _where(error: BaseException) -> str:
    """The innermost line of the program where an error came up."""
    trace, place = error.__traceback__, ""
    while trace:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
