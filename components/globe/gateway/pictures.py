"""Pictures on their way in: decoded, bounded, turned upright and encoded anew, so that vLLM sees nothing that a client wrote."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from dataclasses import dataclass

from globe.data.images import MAX_SIDE_PX, data_url, load_image
from globe.errors import InputError
from globe.gateway.refused import Refused
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
        return await asyncio.to_thread(_prepared, data)


def _prepared(data: bytes) -> Picture:
    try:
        image = load_image(data, MAX_SIDE_PX)
    except InputError as error:
        raise Refused(422, str(error), "bad_picture") from None
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return Picture(data_url(out.getvalue()), image.width * image.height)


def picture_bytes(url: str) -> bytes:
    """The bytes of a data URL, the only kind of address that is ever looked at.

    Raises:
        Refused: 400; it is another address, or its base64 is broken.
    """
    head, comma, text = url.partition(",")
    if not re.fullmatch(r"data:image(/[a-z]{3,5})?;base64", head) or not comma:
        raise Refused(400, "give a picture as data:image/...;base64,...; nothing is fetched", "not_a_data_url", param="messages")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(400, "the picture's base64 is broken", "not_base64", param="messages") from None
