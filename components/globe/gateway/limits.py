"""How much each client may ask for."""

from __future__ import annotations

from globe.gateway.keys import Client
from globe.gateway.settings import GatewaySettings


class Limits:
    """Pixels and answer tokens of each client, by the minute."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    def take(self, client: Client, *, pixels: int = 0, tokens: int = 0) -> None:
        """Count what a client asks for.

        Raises:
            Refused: 429, with the seconds after which there is room again; then nothing is counted.
        """
