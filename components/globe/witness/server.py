"""The witnesses over HTTP: bounded bodies and a bounded number of questions, pictures decoded beside the device, batches on it.

    POST /v1/coordinates            {"model", "image": data URL}   {"lat_deg", "lon_deg", "confidence"}
    POST /v1/segmentation           {"model", "image": data URL}   {"shares": {class: share of the pixels}}
    GET  /v1/segmentation/classes                                  {"model", "classes": [..]}
    POST /v1/alignment              {"model", "texts": [a, b]}     {"score"}
    GET  /v1/models, /health

A mistake is answered with {"error": {"message", "type"}}, as OpenAI's API does. 503 means: ask again a little later.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from globe.console import one_line, tell
from globe.errors import InputError
from globe.witness.batches import Batcher
from globe.witness.questions import MAX_BODY_BYTES, read_question

MOST_INSIDE = 256
"""Questions that are read, wait or are answered at once; further ones are told to come back."""
RETRY_AFTER_S = 1
BODY_TIMEOUT_S = 60.0
"""For the whole body of a question, or a few slow senders would keep all others out."""
_HANG_UP = {"Connection": "close"}
"""Where the rest of a body is not wanted: uvicorn would go on reading it, for as long as it comes."""
DECODERS = min(8, os.cpu_count() or 1)
"""Threads that decode pictures: each may hold one of `MAX_PICTURE_PIXELS`."""


class Witness(Protocol):
    """A loaded model (`Coordinates`, `Segmentation`, `Alignment`)."""

    def prepare(self, subject: Any, /) -> Any:
        """What a question is about, as the model takes it; in any thread."""

    def judge(self, prepared: list[Any], /) -> list[dict[str, Any]]:
        """The answers to a batch, in its order; in the device's one thread."""


@dataclass(frozen=True)
class Served:
    """A witness and the name that it is asked by."""

    kind: str
    name: str
    witness: Witness


def witness_app(served: list[Served], key: str = "", most_inside: int = MOST_INSIDE) -> Starlette:
    """The HTTP application.

    Args:
        served: The witnesses, at most one of a kind.
        key: Who asks must have it; empty for nobody need.
        most_inside: Questions at once.
    """
    return _Server(served, key, most_inside).app


class _Server:
    def __init__(self, served: list[Served], key: str, most_inside: int) -> None:
        self._served = {one.kind: one for one in served}
        self._key = key
        self._most_inside = most_inside
        self._inside = 0
        self._decoders = ThreadPoolExecutor(DECODERS, "decoder")
        self._device = ThreadPoolExecutor(1, "device")
        self._batchers: Mapping[str, Batcher] = {one.kind: Batcher(one.witness.judge, self._device) for one in served}
        asked = [Route(f"/v1/{kind}", self._asked(kind), methods=["POST"]) for kind in self._served]
        classes = [Route("/v1/segmentation/classes", self._classes)] if "segmentation" in self._served else []
        self.app = Starlette(
            routes=[Route("/health", self._health), Route("/v1/models", self._models), *classes, *asked],
            exception_handlers={HTTPException: _told, InputError: _bad_input},
            lifespan=self._running,
        )

    @asynccontextmanager
    async def _running(self, app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(batcher.run()) for batcher in self._batchers.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self._decoders.shutdown(cancel_futures=True)
            self._device.shutdown(cancel_futures=True)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _models(self, request: Request) -> Response:
        self._require_key(request)
        models = [{"id": one.name, "object": "model", "kind": one.kind} for one in self._served.values()]
        return JSONResponse({"object": "list", "data": models})

    async def _classes(self, request: Request) -> Response:
        self._require_key(request)
        served = self._served["segmentation"]
        return JSONResponse({"model": served.name, "classes": served.witness.classes})  # type: ignore[attr-defined]

    def _asked(self, kind: str) -> Any:
        async def answer(request: Request) -> Response:
            self._require_key(request)
            if self._inside >= self._most_inside:
                await _body(request, keep=False)  # a client that is still sending would see a broken connection
                raise HTTPException(503, "too many questions at once; ask again later", {"Retry-After": str(RETRY_AFTER_S)})
            self._inside += 1
            try:
                return JSONResponse(await self._answer(kind, await _body(request)))
            finally:
                self._inside -= 1

        return answer

    async def _answer(self, kind: str, body: bytes) -> dict[str, Any]:
        served = self._served[kind]

        def prepare() -> Any:
            question = read_question(kind, body)
            if question.model != served.name:
                raise HTTPException(404, f"model: no such {kind} model here; {served.name!r} is")
            return served.witness.prepare(question.subject())

        try:
            prepared = await asyncio.get_running_loop().run_in_executor(self._decoders, prepare)
            return await self._batchers[kind].ask(prepared)
        except (HTTPException, InputError):
            raise
        except Exception as error:  # whatever the libraries raise; the others' questions go on
            said = one_line(f"{type(error).__name__}: {error}")[:300]
            tell(f"{served.kind} model {served.name}: {said}")
            raise HTTPException(500, f"the model failed ({said})") from error

    def _require_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode("utf-8", "replace")
        if self._key and not hmac.compare_digest(given, f"Bearer {self._key}".encode()):
            raise HTTPException(401, "this server asks for its key (Authorization: Bearer KEY)", {"WWW-Authenticate": "Bearer"})


async def _body(request: Request, *, keep: bool = True) -> bytes:
    """Read a body, or only see it off; in both cases no more of it than it may have."""
    data, length = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                length += len(chunk)
                if length > MAX_BODY_BYTES:
                    raise HTTPException(413, f"body: larger than {MAX_BODY_BYTES >> 20} MiB; send a smaller picture", _HANG_UP)
                if keep:
                    data += chunk
    except TimeoutError:
        raise HTTPException(408, f"body: not all of it came within {BODY_TIMEOUT_S:.0f} s", _HANG_UP) from None
    except ClientDisconnect:
        raise HTTPException(400, "body: cut off") from None
    return bytes(data)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind}}, status, dict(headers or {}))


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, error.headers)


async def _bad_input(request: Request, error: Exception) -> Response:
    return _error(400, str(error))
