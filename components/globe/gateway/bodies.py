"""What comes before a route: the target, the headers and the body of a request, each bounded and each read in one way only.

| code | of the error's `code` | when |
|---|---|---|
| 400 | not_http, bad_version | see `globe.gateway.connections`; another version than 1.0 or 1.1 |
| 400 | bad_header, duplicate_header | a header twice that is there once, both kinds of length, no Host |
| 400 | not_json, not_utf8, json_too_deep, duplicate_name, not_a_number, number_too_large | see `globe.gateway.json_text` |
| 401 | see `globe.gateway.keys` | no key: before the body is read |
| 404 | not_found | an address that is written in another way than the one it has (`//`, `%2e`, `;`, `..`) |
| 408 | too_slow | headers or body had not come within `body_timeout_s` |
| 413 | body_too_large | over `max_body_bytes`, told at once, by its Content-Length or when that many bytes have come |
| 415 | content_encoding | a body that is packed (gzip and the like) |
| 431 | headers_too_large | see `globe.gateway.connections` |
| 503 | overloaded | all requests together hold `max_held_bytes` |

A body is read whole before its route is called, so no route waits for a client, and none sees a part. Whoever is refused while
still sending is heard out for a second, so that the answer is read, and not lost with the connection.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from globe.gateway.json_text import json_document
from globe.gateway.keys import KeyRing
from globe.gateway.memory import Held, Memory
from globe.gateway.refused import NOTHING_HERE, Refused
from globe.gateway.settings import GatewaySettings

TAKES_BODY = frozenset((("POST", "/locate"), ("POST", "/v1/chat/completions")))
"""The only requests whose body anybody reads."""
LINGER_S = 1.0
COPIES = 2
"""How often a body is in memory: as it came, and as what its route reads out of it."""
_ONCE = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"authorization", b"expect")
)
_PLAIN_PATH = re.compile(rb"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+/?")


class Disconnected(Exception):
    """The client has hung up before its request was whole; nobody waits for an answer."""


class Bodies:
    """ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings, keys: KeyRing) -> None:
        self._app, self._settings, self._keys = app, settings, keys
        self._memory = Memory(settings.max_held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or hand it on with its whole body."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            with self._memory.request() as held:
                await self._http(scope, receive, send, held)

    async def _http(self, scope: Scope, receive: Receive, send: Send, held: Held) -> None:
        try:
            check_target(scope)
            headers = check_headers(scope)
            takes_body = (scope["method"], scope["path"]) in TAKES_BODY
            body = await self._body(headers, receive, held) if takes_body else b""
            if takes_body and _is_json(headers):
                json_document(body)
        except Refused as refused:
            await _refuse(send, receive, refused)
        except Disconnected:
            pass
        else:
            given = _given(body, receive)
            del body  # the route's alone from now on
            await self._app(scope, given, send)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, held: Held) -> bytes:
        limit = self._settings.max_body_bytes
        self._keys.client(headers[b"authorization"].decode("latin-1") if b"authorization" in headers else None)
        if int(headers.get(b"content-length") or 0) > limit:
            raise _too_large(limit)
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                while (message := await receive())["type"] == "http.request":
                    piece = message.get("body", b"")
                    if len(body) + len(piece) > limit:
                        raise _too_large(limit)
                    held.add(COPIES * len(piece))
                    body += piece
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise too_slow(self._settings.body_timeout_s) from None
        raise Disconnected


def check_target(scope: Scope) -> None:
    """Refuse an address that is written in any other way than the plain one: what one server reads as a path, another may not.

    Raises:
        Refused: 404.
    """
    if not _PLAIN_PATH.fullmatch(scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")):
        raise Refused(404, NOTHING_HERE, "not_found")


def check_headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers, of which those that decide something are there once.

    Raises:
        Refused: 400, or 415 for a body that is packed.
    """
    headers = dict(scope["headers"])
    doubles = [name for name, count in Counter(name for name, _ in scope["headers"]).items() if count > 1 and name in _ONCE]
    if doubles:
        raise Refused(400, f"the header {doubles[0].decode()} is there twice", "duplicate_header")
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Refused(400, "speak HTTP/1.1", "bad_version")
    if b"host" not in headers and scope["http_version"] == "1.1":
        raise Refused(400, "the header Host is missing", "bad_header")
    length, transfer = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if (length is not None and transfer is not None) or (length is not None and not re.fullmatch(rb"[0-9]{1,18}", length)):
        raise Refused(400, "the body's length is not clear from the headers", "bad_header")
    if transfer is not None and transfer.lower() != b"chunked":
        raise Refused(400, "the only Transfer-Encoding here is chunked", "bad_header")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(415, "send the body as it is, without a Content-Encoding", "content_encoding")
    return headers


def _is_json(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"application/json"


def too_slow(limit_s: float) -> Refused:
    """The error for whoever sends too slowly."""
    return Refused(408, f"the request had not come whole within {limit_s:g} s", "too_slow")


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the request is over {limit} bytes; scale the picture down first", "body_too_large")


def _given(body: bytes, receive: Receive) -> Receive:
    """A body as one message, and after it what else the server tells, which is whether the client hangs up."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return messages.pop() if messages else await receive()

    return given


async def _refuse(send: Send, receive: Receive, refused: Refused) -> None:
    """An error as the whole answer to a request of which more may be on its way; the connection ends with it."""
    headers, body = refused.written(connection="close")
    start = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": start})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    try:
        async with asyncio.timeout(LINGER_S):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
