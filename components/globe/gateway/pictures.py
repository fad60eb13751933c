"""Pictures on their way in: decoded, bounded, turned upright and encoded anew, so that vLLM sees nothing that a client wrote.

A picture becomes what the training's pictures are stored as (`globe.data.images.reencode`): at most 1536 px a side, exact pixels
up to 128 px, a JPEG of quality 92 above. One that is stored so already keeps its pixels, so an answer through the gateway equals
bare vLLM's. Names, positions and whatever else a file holds beside its pixels go.

Exact pixels of all, as PNG, were measured and given up: a photo of a megapixel is 3 MB then instead of 280 kB, takes half as much
CPU again here, and 25 to 50% more of vLLM, which receives and reads it.

The codes: 413 too many bytes or pixels, 415 no JPEG, PNG or WEBP, 422 damaged, empty, or over 200 times as long as it is wide.
"""

from __future__ import annotations

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pybase64 import b64decode, b64encode_as_string

from globe.data.images import (
    MAX_PIXELS,
    MAX_RATIO,
    OtherKindError,
    TooManyBytesError,
    TooManyPixelsError,
    check_pixels,
    reencode,
)
from globe.errors import InputError
from globe.gateway.memory import hold
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings

MOST_WORKERS = 4
SMALL_PIXELS, SMALL_BYTES = 128 * 128, 2**16
"""A picture no larger takes less time, some 0.3 ms, than a thread takes to be asked."""
LARGE_PIXELS = 4_000_000
"""A larger picture is decoded while no other large one is: one of 50 million pixels takes 600 MB."""
COPIES = 3
"""How often the picture's data URL is in memory at most while it is sent to the engine: itself, in the body, encoded."""
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_KNOWN_SCHEMES = ("http", "https", "file", "ftp", "ftps", "s3", "gs", "blob")


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
        self._max_pixels = min(settings.max_pixels, MAX_PIXELS)
        workers = min(MOST_WORKERS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, "picture")
        self._large_pool = ThreadPoolExecutor(1, "large-picture")

    async def prepare(self, data: bytes) -> Picture:
        """A client's picture, made safe.

        Raises:
            Refused: 413 (too many bytes or pixels), 415 (another kind of file), 422 (damaged, empty or too narrow), 503 (there is
                no room for it in memory now).
        """
        pixels = self.pixels(data)
        if pixels <= SMALL_PIXELS and len(data) <= SMALL_BYTES:
            url = _safe_url(data)
        else:
            pool = self._large_pool if pixels > LARGE_PIXELS else self._pool
            url = await asyncio.get_running_loop().run_in_executor(pool, _safe_url, data)
        hold(COPIES * len(url))
        return Picture(url, pixels)

    def pixels(self, data: bytes) -> int:
        """Width times height of a picture that may be decoded: what it costs, before it costs anything.

        Raises:
            Refused: As `prepare`, of what a file's first bytes say.
        """
        try:
            width, height = check_pixels("picture", data)
        except InputError as error:
            raise _refused(error) from None
        if width * height > self._max_pixels:
            raise _too_many(f"{width} x {height} is over {self._max_pixels} pixels")
        if max(width, height) > MAX_RATIO * min(width, height):
            message = f"picture: {width} x {height} px is over {MAX_RATIO} times as long as it is wide; crop it first"
            raise Refused(422, message, "picture_too_narrow")
        return width * height


def picture_bytes(url: str) -> bytes:
    """The bytes of a data URL, the only kind of address that is ever looked at.

    What it calls itself (`data:image/jpeg`, `data:image`, anything) is not believed: its first bytes tell what it is.

    Raises:
        Refused: 400; it is another address, or its base64 is broken.
    """
    found = _DATA_URL.match(url)
    if not found:
        raise Refused(400, _why_not(url), "not_a_data_url", param="image_url")
    try:
        return b64decode(memoryview(url.encode("ascii"))[found.end() :], validate=True)
    except ValueError:
        message = "the data: URL's base64 is broken; write it in the standard alphabet, on one line, with the = at its end"
        raise Refused(400, message, "broken_base64", param="image_url") from None


def _why_not(url: str) -> str:
    scheme = url[:8].partition(":")[0].lower()
    if scheme == "data":
        return "a data: URL without ';base64,'; send the picture as data:image/jpeg;base64,..."
    named = f"{scheme}: addresses are never fetched" if scheme in _KNOWN_SCHEMES else "only data: URLs are taken"
    return f"{named}; send the picture itself, as data:image/jpeg;base64,..."


def _safe_url(data: bytes) -> str:
    try:
        safe = reencode(data, compress=False)
    except InputError as error:
        raise _refused(error) from None
    kind = "jpeg" if safe.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{b64encode_as_string(safe)}"


def _refused(error: InputError) -> Refused:
    """A picture's fault in the gateway's words; of the decoder's own, which quote the file, nothing is told."""
    reason = str(error).partition(" (")[0]
    if isinstance(error, TooManyBytesError):
        return Refused(413, reason, "picture_too_large")
    if isinstance(error, TooManyPixelsError):
        return Refused(413, reason, "too_many_pixels")
    if isinstance(error, OtherKindError):
        return Refused(415, reason, "not_a_picture")
    return Refused(422, reason, "damaged_picture")


def _too_many(reason: str) -> Refused:
    return Refused(413, f"picture: {reason}; scale the picture down first", "too_many_pixels")
