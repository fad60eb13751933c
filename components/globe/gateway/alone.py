"""What a gateway does that is told to end while no other replica could answer: it goes on.

A service whose only pod is to end refuses new connections, or still leads them to that pod if it says that it is ready (from
Kubernetes 1.26 on); whoever has a connection keeps it. To have such a client connect anew would be to have it refused. So this
gateway stays ready, keeps connections and answers as before until another replica is ready, but for `alone_s` at the most, since
the new one may need this one's GPU, and no longer than anybody asks and its engine answers.
"""

from __future__ import annotations

import asyncio
import time

from globe.gateway.settings import GatewaySettings
from globe.gateway.state import Gateway

EVERY_S = 0.5
"""Between two looks for another replica."""
FOLLOWS_S = 3.0
"""How much later than the peers' name a service may lead to a new replica: each node is told by itself."""


def may_be_alone(settings: GatewaySettings) -> bool:
    """Whether to assume so until the peers' name has been looked up."""
    return bool(settings.peers and settings.alone_s)


async def taking_for_s(gateway: Gateway) -> float:
    """Go on as before for as long as that is of use.

    Args:
        gateway: One that has just been told to end.

    Returns:
        For how long it is to take requests from now on, and to send clients elsewhere.
    """
    settings, status = gateway.settings, gateway.status
    began_s, follows_s = time.monotonic(), 0.0
    try:
        while may_be_alone(settings) and not await gateway.upstream.has_peers():
            now_s = time.monotonic()
            wanted = status.serving and (status.in_flight > 0 or now_s - status.asked_s < settings.drain_s)
            if now_s - began_s >= (max(settings.alone_s, settings.drain_s) if wanted else settings.drain_s):
                return 0.0
            await asyncio.sleep(EVERY_S)
            follows_s = FOLLOWS_S
        await asyncio.sleep(follows_s)
    finally:
        status.alone = False
    return settings.drain_s
