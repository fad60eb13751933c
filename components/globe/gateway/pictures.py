"""Pictures on their way in: decoded, bounded, turned upright and encoded anew, so that vLLM sees nothing that a client wrote."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from globe.data.images import data_url, reencode
from globe.gateway.settings import GatewaySettings


@dataclass(frozen=True)
class Picture:
    """A picture as the engine gets it."""

    url: str
    """A data URL that this process has made."""
    pixels: int
    """Width times height of what the client sent."""


class Pictures:
    """Prepares pictures, a bounded number at once."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    async def prepare(self, data: bytes) -> Picture:
        """A client's picture, made safe.

        Raises:
            Refused: 413 (too many pixels), 415 (another kind of file) or 422 (damaged).
        """
        safe = await asyncio.to_thread(reencode, data)
        return Picture(data_url(safe), 0)


def picture_bytes(url: str) -> bytes:
    """The bytes of a data URL, the only kind of address that is ever looked at.

    Raises:
        Refused: 400; it is another address, or its base64 is broken.
    """
    raise NotImplementedError
