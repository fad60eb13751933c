"""Who may ask: keys that only their owners have, of which the gateway knows hashes."""

from __future__ import annotations

from dataclasses import dataclass

from globe.gateway.settings import GatewaySettings


@dataclass(frozen=True)
class Client:
    """Whoever asks, as far as a gateway knows."""

    name: str
    pixels_per_minute: int
    tokens_per_minute: int


class KeyRing:
    """The keys of a gateway."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    def client(self, authorization: str | None) -> Client:
        """Who sends an Authorization header.

        Raises:
            Refused: 401; there is no such key, or it has expired or been revoked.
        """
        return Client("anyone", self._settings.pixels_per_minute, self._settings.tokens_per_minute)
