"""A photo as it leaves this machine: for whoever sends one to a model's server or a gateway."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from globe.data.images import MAX_RATIO, reencode
from globe.errors import InputError


def sendable(source: Path | bytes) -> bytes:
    """A picture that is upright, no larger than models look at, and without metadata.

    Args:
        source: A file or its bytes.

    Raises:
        InputError: As `globe.data.images.load_image`; or it is a strip, which models' processors refuse.
    """
    data = reencode(source)
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
    if max(width, height) > MAX_RATIO * min(width, height):
        name = "picture" if isinstance(source, bytes) else source
        raise InputError(f"{name}: over {MAX_RATIO} times as long as it is wide; models cannot look at that, crop it first")
    return data
