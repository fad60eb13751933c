"""The client for asynchronous Python."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx2 as httpx

from globe.client.answers import Event, Located
from globe.client.exchange import CONNECT_TRIES, LEAST_WAIT_S, MAX_ANSWER_BYTES, Exchange, Photo, Precision, Reader


class AsyncGlobe:
    """As `Globe`, for asynchronous code; close it, or use it in an `async with` block."""

    def __init__(self, url: str, *, key: str = "", timeout_s: float = 120.0) -> None:
        """Prepare; nothing is sent yet. Arguments and errors are those of `Globe`."""
        self._exchange = Exchange(url, key, timeout_s)
        self._http = httpx.AsyncClient(**self._exchange.settings)

    async def __aenter__(self) -> AsyncGlobe:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def locate(self, photo: Photo, n: int = 1, max_precision: Precision | None = None) -> Located:
        """Say where a photo was taken; arguments and errors are those of `Globe.locate`."""
        async for event in self._events(photo, n, max_precision, stream=False):
            if isinstance(event, Located):
                return event
        raise AssertionError("a stream of events ends with an answer or an error")

    def locate_stream(self, photo: Photo, n: int = 1, max_precision: Precision | None = None) -> AsyncIterator[Event]:
        """The same, while it happens; see `Globe.locate_stream`."""
        return self._events(photo, n, max_precision, stream=True)

    async def _events(self, photo: Photo, n: int, max_precision: Precision | None, *, stream: bool) -> AsyncIterator[Event]:
        asked = await asyncio.to_thread(self._exchange.request, photo, n, max_precision, stream=stream)
        deadline, failures = time.monotonic() + self._exchange.timeout_s, 0
        while True:
            wait_s: float | None = None
            try:
                async with self._http.stream(**asked, timeout=self._exchange.timeout(deadline)) as response:
                    if response.status_code == 200:
                        async for event in self._read(response, deadline):
                            yield event
                        return
                    body = await _limited(response.aiter_bytes())
                    wait_s = self._exchange.wait_s(response.status_code, response.headers, deadline)
                    if wait_s is None:
                        raise self._exchange.refusal(response.status_code, body)
            except httpx.ConnectError as error:
                failures += 1
                if failures >= CONNECT_TRIES or time.monotonic() + LEAST_WAIT_S >= deadline:
                    raise self._exchange.failed(error) from None
                wait_s = LEAST_WAIT_S
            except (httpx.HTTPError, OSError) as error:
                raise self._exchange.failed(error) from None
            await asyncio.sleep(wait_s)

    async def _read(self, response: httpx.Response, deadline: float) -> AsyncIterator[Event]:
        reader = Reader(self._exchange, response.headers.get("content-type", ""))
        async for piece in response.aiter_bytes():
            for event in reader.feed(piece):
                yield event
            if time.monotonic() > deadline:
                raise self._exchange.too_long()
        for event in reader.finish():
            yield event


async def _limited(pieces: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for piece in pieces:
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            break
    return body
