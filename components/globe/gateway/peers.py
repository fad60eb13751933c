"""The gateways of the other replicas, found by name."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import time
from functools import cache

import psutil

from globe.errors import InputError
from globe.gateway.settings import GatewaySettings

REMEMBERED_S = 2.0
"""How long a list of replicas is used: when an engine dies, a hundred requests ask for it at once."""
LOOKUP_S = 2.0


class Peers:
    """Finds the addresses behind the peers' name whenever they are needed, for replicas come and go."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Read the name.

        Raises:
            InputError: It isn't HOST:PORT.
        """
        host, _, port = settings.peers.rpartition(":")
        if settings.peers and not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise InputError(f"peers {settings.peers!r}: give HOST:PORT, such as globe-peers:8080")
        self._host, self._port, self._own_port = host.strip("[]"), int(port or 0), settings.port
        self._known: list[str] = []
        self._until_s = 0.0

    async def found(self) -> list[str]:
        """Base URLs of the other replicas' gateways, in random order; none if the name cannot be resolved just now."""
        if not self._host:
            return []
        if time.monotonic() > self._until_s:
            self._known, self._until_s = await self._looked_up(), time.monotonic() + REMEMBERED_S
        return random.sample(self._known, len(self._known))

    async def _looked_up(self) -> list[str]:
        try:
            async with asyncio.timeout(LOOKUP_S):
                told = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # also TimeoutError
            return []
        hosts = {str(address[0]) for *_, address in told}
        if self._port == self._own_port:
            hosts = {host for host in hosts - _own_addresses() if not ipaddress.ip_address(host.partition("%")[0]).is_loopback}
        return sorted(f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}" for host in hosts)


@cache
def _own_addresses() -> frozenset[str]:
    """This machine's addresses: the peers' name resolves to this replica, too."""
    return frozenset(entry.address for entries in psutil.net_if_addrs().values() for entry in entries)
