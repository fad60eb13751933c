"""The door of a server: which questions there are at all, and that whoever asks one has the server's key.

vLLM's own key guards its paths below /v1 only; /invocations, which is as good as /v1/chat/completions, /tokenize, /metrics and
a dozen others answer anybody. So vLLM loads this class (`--middleware`) and calls it before anything of its own. What is not in
`PATHS` is not there, and a server without a key answers nobody, unless it is told that it may.

It is loaded into the server's process, so it imports the standard library only.
"""

import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.served import MODEL_HEADER

KEY_FILE_VARIABLE = "GLOBE_SERVER_KEY_FILE"
"""A file that holds the key, which is then in no environment and no pod's description."""
KEY_VARIABLE = "GLOBE_SERVER_KEY"
"""The key itself, where there is no such file."""
OPEN_VARIABLE = "GLOBE_SERVER_MAY_BE_OPEN"
"""Set where a server without a key is meant: anybody who reaches it may ask it."""
DIGEST_VARIABLE = "GLOBE_MODEL_DIGEST"
"""Digest of the checkpoint that is served; the server says it with every answer."""
MIDDLEWARE = f"{__name__}.Guard"
HEALTH = "/health"
"""The one path that needs no key: a kubelet asks it, and it says nothing but yes or no."""
PATHS = {HEALTH: "GET", "/v1/models": "GET", "/v1/chat/completions": "POST", "/version": "GET", "/metrics": "GET"}
"""All paths that there are, each with its method."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware around a whole server."""

    def __init__(self, app: App) -> None:
        """Read key and digest from the environment."""
        self._app = app
        self._digest = os.environ.get(DIGEST_VARIABLE, "").encode()
        self._key, self._fault = b"", ""
        try:
            self._key = read_key()
        except InputError as error:
            self._fault = str(error)  # told when the server is about to start; raised here, uvicorn would start it all the same

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or let pass."""
        if scope["type"] == "lifespan" and not self._fault:
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": self._fault})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]  # decoded, and what the server's own router compares, too
        if self._fault:
            await _refuse(send, 503, self._fault)
        elif PATHS.get(path) != scope["method"]:
            await _refuse(send, 404, "there is nothing here")
        elif path == HEALTH:
            await self._app(scope, receive, send)
        elif not self._has_key(scope):
            await _refuse(send, 401, "this server asks for its key, as a header `Authorization: Bearer KEY`")
        else:
            await self._app(scope, receive, self._signing(send))

    def _has_key(self, scope: Scope) -> bool:
        if not self._key:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        return hmac.compare_digest(key.strip(), self._key) and scheme.lower() == b"bearer"

    def _signing(self, send: Send) -> Send:
        async def signing(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and self._digest:
                message["headers"] = [*message.get("headers", ()), (MODEL_HEADER.encode(), self._digest)]
            await send(message)

        return signing


def read_key() -> bytes:
    """The key that the environment names; empty for a server that may be open.

    Raises:
        InputError: There is none, and the server may not be open; or its file cannot be read, or is empty.
    """
    file, key = os.environ.get(KEY_FILE_VARIABLE, ""), os.environ.get(KEY_VARIABLE, "").strip()
    if file:
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise InputError(f"{KEY_FILE_VARIABLE}: {file}: cannot be read ({error}); the server does not start") from None
        if not key:
            raise InputError(f"{KEY_FILE_VARIABLE}: {file}: holds no key; the server does not start")
    if not key and not os.environ.get(OPEN_VARIABLE):
        raise InputError(f"no key: set {KEY_VARIABLE} or {KEY_FILE_VARIABLE}, or {OPEN_VARIABLE}=1 to serve whoever asks")
    return key.encode()


async def _refuse(send: Send, status: int, why: str) -> None:
    error = {"message": why, "type": "Refused", "code": status}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
