"""What every route of a running gateway shares."""

from __future__ import annotations

from dataclasses import dataclass

from globe.gateway.keys import KeyRing
from globe.gateway.limits import Limits
from globe.gateway.pictures import Pictures
from globe.gateway.settings import GatewaySettings
from globe.gateway.upstream import Upstream


@dataclass(frozen=True)
class Gateway:
    """A running gateway's parts."""

    settings: GatewaySettings
    keys: KeyRing
    limits: Limits
    pictures: Pictures
    upstream: Upstream
