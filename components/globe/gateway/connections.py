"""Connections as clients may hold them: uvicorn's own, with bounds where it has none.

uvicorn waits for ever for the end of a request's headers, however many they are, for the first byte of a connection, and for a
client that does not read its answer. Whoever opens connections and says little would have all of them in the end. Here headers
are at most 64 KiB in 100 lines and come within `body_timeout_s`, a client reads on within as long, and no more connections than
`max_connections` are held.

What is no HTTP at all (garbage, both kinds of length, a header with a line break in it) gets 400 in the one shape of errors.
"""

from __future__ import annotations

import asyncio
import secrets
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from globe.gateway.bodies import too_slow
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings

MAX_HEADER_BYTES = 64 * 2**10
MAX_HEADERS = 100
FULL_S = 5.0


def protocol_of(settings: GatewaySettings) -> type[HttpToolsProtocol]:
    """The class to give to uvicorn as `http`."""
    return type("Connection", (_Connection,), {"bounds": settings})


class _Connection(HttpToolsProtocol):
    bounds: GatewaySettings

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._headers_timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None
        self._in_headers = self._in_message = self._has_body = self._too_many_headers = False
        self._header_bytes = self._header_count = self._bare_bytes = 0
        """Of this request: its headers, and what came since its last piece of a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.max_connections:
            self._refuse(Refused(503, "too many connections; try again", "overloaded", retry_after_s=FULL_S))
        else:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop(self._headers_timer)
        self._stop(self._reading_timer)
        self._forget_answers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, while what is not yet a request, or no more of a body, is not too long."""
        if self._headers_timer is None and not self._is_answering():
            self._expect_headers()  # also for empty lines, which come before a request and are none
        self._has_body = False
        super().data_received(data)
        self._bare_bytes = self._bare_bytes + len(data) if self._in_message and not self._has_body else 0
        if self._bare_bytes > MAX_HEADER_BYTES:
            self._refuse(_headers_too_large())

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_headers = self._in_message = True
        self._header_bytes = self._header_count = self._bare_bytes = 0
        if self._headers_timer is None:  # it came with the one before it
            self._expect_headers()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes after the body counts as it does, and nobody sees it, though it may call itself a key."""
        if self._in_headers:
            super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        self._header_count += 1
        if self._header_bytes + len(self.url) > MAX_HEADER_BYTES or self._header_count > MAX_HEADERS:
            self._too_many_headers = True
            raise ValueError("headers too large")  # the parser stops

    def on_headers_complete(self) -> None:
        """A request's headers are there, and it is answered from now on."""
        self._in_headers = False
        self._stop(self._headers_timer)
        self._headers_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._has_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._in_message = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """The client does not read: it has until then to go on."""
        super().pause_writing()
        self._stop(self._reading_timer)
        self._reading_timer = self.loop.call_later(self.bounds.body_timeout_s, self._hang_up)

    def resume_writing(self) -> None:
        """It does."""
        self._stop(self._reading_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP, or is too much of it."""
        self._refuse(_headers_too_large() if self._too_many_headers else Refused(400, "this is not HTTP", "not_http"))

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing is logged: every client could fill the log with it."""

    def _should_upgrade_to_ws(self) -> bool:
        return False

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_headers(self) -> None:
        self._headers_timer = self.loop.call_later(self.bounds.body_timeout_s, self._give_up)

    def _give_up(self) -> None:
        self._headers_timer = None
        if self.transport.is_closing():
            return
        if self._is_answering():
            self._expect_headers()
        elif self._in_headers:
            self._refuse(too_slow(self.bounds.body_timeout_s))
        else:
            self.transport.close()

    def _hang_up(self) -> None:
        """End it at once; whatever is still written to it goes nowhere."""
        self._forget_answers()
        self.transport.abort()

    def _forget_answers(self) -> None:
        """Tell whatever is being answered, or waits for that, that nobody listens: uvicorn tells the last request only."""
        for cycle in (self._answered, *(waiting for waiting, _ in self.pipeline)):
            if cycle and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _refuse(self, refused: Refused) -> None:
        """An error, and the end of the connection."""
        if self.transport.is_closing():
            return
        if self._is_answering():
            broken = not self.pipeline and self.cycle.more_body and not self.cycle.response_started
            self._forget_answers()
            if not broken:  # an earlier request is being answered, and this must not look like its answer
                self.transport.close()
                return
        headers, body = refused.written(connection="close", x_request_id=secrets.token_hex(16))
        lines = [f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}", *map(": ".join, headers.items()), "", ""]
        self.transport.write("\r\n".join(lines).encode("latin-1") + body)
        self.transport.close()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer:
            timer.cancel()


def _headers_too_large() -> Refused:
    return Refused(431, f"the headers are over {MAX_HEADER_BYTES} bytes or {MAX_HEADERS} lines", "headers_too_large")
