"""HEIC photos, as phones take them, decoded by a process of its own that may not take more time or memory than a large one needs.

libheif and its HEVC decoder are C++ that reads untrusted bytes, and a file may hold a larger picture than it says. Whatever goes
wrong there, a crash included, is one picture that is not readable.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys

from PIL import Image

from globe.data.images import MAX_PIXELS, MAX_SIDE_PX, TooManyPixelsError
from globe.errors import InputError

BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
"""Kinds of files in the head's words; mif1 and msf1 may hold other codecs, which are then not readable."""
TIMEOUT_S = 60
MAX_MEMORY_BYTES = 2 * 2**30
_TOO_LARGE = 3


def is_heic(data: bytes) -> bool:
    """Whether a file says that it is a HEIC or HEIF picture."""
    return data[4:8] == b"ftyp" and data[8:12] in BRANDS


def heic_as_png(data: bytes, max_side_px: int = MAX_SIDE_PX) -> bytes:
    """Decode a HEIC picture.

    Args:
        data: The file.
        max_side_px: A picture whose longer side exceeds this is scaled down.

    Returns:
        An upright PNG of the same pixels, which still has the EXIF data, its position among them.

    Raises:
        TooManyPixelsError: It is over `MAX_PIXELS`.
        InputError: It is damaged, or takes more time or memory than any picture of that size.
    """
    command = [sys.executable, "-m", __name__, str(max_side_px), str(MAX_MEMORY_BYTES)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"a HEIC picture that is not decoded within {TIMEOUT_S} s") from None
    if done.returncode == _TOO_LARGE:
        raise TooManyPixelsError(f"a HEIC picture of over {MAX_PIXELS} pixels; scale it down first")
    if done.returncode or not done.stdout:
        raise InputError("damaged or truncated HEIC picture")
    return done.stdout


def _png(data: bytes, max_side_px: int) -> bytes:
    from pi_heif import register_heif_opener

    register_heif_opener(thumbnails=False, decode_threads=1)
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is another one
    with Image.open(io.BytesIO(data), formats=["HEIF"]) as image:
        if image.width * image.height > MAX_PIXELS:
            sys.exit(_TOO_LARGE)
        exif = image.getexif()  # its orientation is 1: libheif turns the picture itself
        image.load()
        picture = image.convert("RGB")
    picture.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "PNG", exif=exif, compress_level=1)
    return out.getvalue()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT_S, TIMEOUT_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.buffer.write(_png(sys.stdin.buffer.read(), int(sys.argv[1])))
