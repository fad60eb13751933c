"""The gateway's process: how it ends without losing a request.

SIGTERM comes while a service still sends requests here, for a cluster takes seconds to forget a pod. So from then on /ready is
503 and every answer asks its client to connect anew (which leads elsewhere), and for `drain_s` whatever comes is answered all the
same, by this pod's engine or another replica's. Then the port is closed, and what is in flight has `shutdown_s` to end; the rest
is told 503 with Retry-After. A second SIGTERM or Ctrl-C ends it at once. Where there is no other replica to go to, all of this
begins later: see `globe.gateway.alone`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from globe.errors import InputError
from globe.gateway.alone import may_be_alone, taking_for_s
from globe.gateway.app import create_app
from globe.gateway.connections import protocol_of
from globe.gateway.drain import something_waits, take_no_more
from globe.gateway.settings import GatewaySettings
from globe.gateway.state import Gateway

LOG = logging.getLogger(__name__)
KEPT_S = 75.0
"""How long a connection may be unused. No client or proxy keeps one longer: who closes first never loses a request by it."""
BACKLOG = 2048
SETTLE_S = 0.3
"""Before the port is closed: how long connections that have been begun may take to be made, and to be accepted."""
LINGER_S = 5.0
"""After the port is closed: how long a connection that has just been made may take to bring its request, on a busy machine."""
LAST_S = 2.0
"""At the very end: how long the last errors may take on their way."""


class Server(uvicorn.Server):
    """uvicorn's server, which ends in the order above."""

    def __init__(self, app: FastAPI, settings: GatewaySettings) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=protocol_of(settings),
            ws="none",
            timeout_keep_alive=int(KEPT_S),
            backlog=BACKLOG,
            server_header=False,
            access_log=False,  # paths and addresses of people
            log_config=None,
        )
        super().__init__(config)
        self._gateway: Gateway = app.state.gateway
        self._settings = settings
        self._closes_s = float("inf")
        self._told = False
        self._waiting: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first SIGTERM; end at once at anything else."""
        if sig == signal.SIGTERM and not self._gateway.status.draining:
            self._told = self._gateway.status.draining = True
            self._gateway.status.alone = may_be_alone(self._settings)
            return
        if sig != signal.SIGTERM:
            self._captured_signals.append(sig)
        self._gateway.status.draining = True
        self._closes_s = 0.0
        self.should_exit = True
        self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether the time for new requests is over; asked ten times a second."""
        over = await super().on_tick(counter)
        if self._told and not self._waiting:
            self._waiting = asyncio.create_task(self._wait())
        return over or time.monotonic() >= self._closes_s

    async def _wait(self) -> None:
        """Find out until when requests are taken."""
        taking_s = await taking_for_s(self._gateway)
        self._closes_s = min(self._closes_s, time.monotonic() + taking_s)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, let requests in flight end, and tell the rest to come again."""
        LOG.warning("no new connections; %d questions in flight", self._gateway.status.in_flight)
        for listener in sockets or []:
            take_no_more(listener)
        began_s = time.monotonic()
        await asyncio.sleep(SETTLE_S)
        while any(map(something_waits, sockets or [])) and time.monotonic() < began_s + LINGER_S:
            await asyncio.sleep(0)  # the loop accepts one at a time
        await asyncio.sleep(0.02)  # what has just been accepted is a connection only a few turns of the loop later
        for server in self.servers:
            server.close()
        while self._comes() and not self.force_exit and time.monotonic() < began_s + LINGER_S:
            await asyncio.sleep(0.02)
        ends_s = began_s + self._settings.shutdown_s
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.tasks and not self.force_exit and time.monotonic() < ends_s:
            await asyncio.sleep(0.02)
        self._gateway.upstream.give_up()
        last_s = time.monotonic() + LAST_S
        while self.server_state.tasks and time.monotonic() < last_s:
            await asyncio.sleep(0.02)
        for task in self.server_state.tasks:
            task.cancel()
        await self.lifespan.shutdown()

    def _comes(self) -> bool:
        """Whether a request may be on its way, on a connection that has just been made or one that has been used before."""
        return any(_may_bring(connection) for connection in self.server_state.connections)


def _may_bring(connection: Any) -> bool:
    if connection.cycle is None:
        return True
    return connection.cycle.response_complete and something_waits(connection.transport.get_extra_info("socket"))


def serve(settings: GatewaySettings, sockets: list[socket.socket] | None = None) -> None:
    """Serve until a signal ends it.

    Args:
        settings: The operator's.
        sockets: Bound sockets instead of the settings' host and port.

    Raises:
        InputError: A setting cannot be used, or the port is taken.
    """
    app = create_app(settings)
    if settings.metrics_port:
        try:
            app.state.gateway.metrics.serve(settings.host, settings.metrics_port)
        except OSError as error:
            raise InputError(f"port {settings.metrics_port} for metrics: {error.strerror}") from None
    Server(app, settings).run(sockets or [bound(settings)])


def bound(settings: GatewaySettings) -> socket.socket:
    """The socket that a gateway listens on.

    Raises:
        InputError: It can't, such as when something else has the port.
    """
    found: Any = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        if found:
            found.close()
        raise InputError(f"{settings.host}:{settings.port}: cannot listen there ({error.strerror or error})") from None
    return found
