"""What every route of a running gateway shares."""

from __future__ import annotations

from dataclasses import dataclass

from globe.gateway.keys import KeyRing
from globe.gateway.limits import Limits
from globe.gateway.metrics import Metrics
from globe.gateway.pictures import Pictures
from globe.gateway.settings import GatewaySettings
from globe.gateway.status import Status
from globe.gateway.upstream import Upstream


@dataclass(frozen=True)
class Gateway:
    """A running gateway's parts."""

    settings: GatewaySettings
    keys: KeyRing
    limits: Limits
    pictures: Pictures
    upstream: Upstream
    status: Status
    """What is known about the engine and this process from moment to moment."""
    metrics: Metrics
