"""Thumbnails for a report, embedded as data URLs."""

import base64
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from PIL import Image

from globe.data.images import load_image
from globe.data.shards import is_dataset, read_dataset
from globe.errors import InputError

THUMBNAIL_PX = 264
"""Longest side of an embedded photo: sharp at the cards' size on a dense screen, about 15 kB."""
PIXEL_ART_PX = 128
"""Pictures up to this size are embedded unchanged, without loss, and enlarged without blur."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", ".WEBP")


def thumbnails(source: Path | None, ids: Collection[str]) -> dict[str, str]:
    """Data URLs of the pictures wanted.

    Args:
        source: A dataset's folder, or a folder of image files named by id; None gives no pictures.
        ids: The pictures wanted.

    Returns:
        Data URL by id. A picture that is missing or cannot be read is left out; the report says how many are.
    """
    found: dict[str, str] = {}
    if source is None or not source.is_dir():
        return found
    wanted = set(ids)
    pictures = _from_dataset(source, wanted) if is_dataset(source) else _from_folder(source, wanted)
    for name, picture in pictures:
        try:
            found[name] = thumbnail(picture)
        except InputError:
            continue
        if len(found) == len(wanted):
            break
    return found


def _from_dataset(source: Path, wanted: set[str]) -> Iterator[tuple[str, bytes | Path]]:
    for row in read_dataset(source):
        if row.id in wanted:
            yield row.id, row.image


def _from_folder(source: Path, wanted: set[str]) -> Iterator[tuple[str, bytes | Path]]:
    root = source.resolve()
    for name in sorted(wanted):
        for candidate in (name, *(name + suffix for suffix in SUFFIXES)):
            path = (root / candidate).resolve()
            if path.is_relative_to(root) and path.is_file():  # ids are untrusted: they must not lead out of the folder
                yield name, path
                break


def thumbnail(picture: bytes | Path) -> str:
    """The data URL of a picture, made small.

    Raises:
        InputError: It is missing, or no picture.
    """
    image = load_image(picture, THUMBNAIL_PX, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    if max(image.size) <= PIXEL_ART_PX:
        image.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(buffer, "JPEG", quality=80, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
