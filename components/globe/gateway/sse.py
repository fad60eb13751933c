"""Answers while their client waits: streams of server-sent events, and work that ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from globe.gateway.refused import Refused

Result = TypeVar("Result")
LEFT = 499
"""Status of an answer that nobody waited for; it is only counted."""


class EventStream(Response):
    """A stream of server-sent events. It closes `events` when it ends, or when the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], headers: Mapping[str, str] | None = None) -> None:
        """Nothing is sent yet.

        Args:
            events: Each whole, with the empty line after it; an asynchronous generator, which must not raise.
            headers: Beside those that every answer has.
        """
        super().__init__(None, headers=dict(headers or {}) | {"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with suppress(Refused):  # the client left
            await _unless_gone(receive, self._deliver(send))

    async def _deliver(self, send: Send) -> None:
        try:
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        finally:
            if close := getattr(self._events, "aclose", None):
                await close()
        await send({"type": "http.response.body", "body": b""})


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of work for a client, which is cancelled when the client leaves: the engine then stops working on it, too.

    The request's body must have been read.

    Raises:
        Refused: The client has left. Nobody sees it.
    """
    return await _unless_gone(request.receive, work)


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refused(LEFT, "the client left", "client_left")
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
