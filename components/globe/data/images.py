"""Pictures: the one guarded way to decode, re-encode and describe them.

Every picture from a user or a dataset is untrusted. Only Pillow's JPEG, PNG and WEBP decoders ever see the bytes,
sizes are checked before pixels are decoded, and no metadata survives `reencode`.

A file of kilobytes may promise pixels of gigabytes. So one picture of `MAX_PIXELS`, of whatever kind, takes about 600 MB at most
while it is decoded: no more than two copies of its pixels are held at once, and of a JPEG that is larger than needed only a half,
a quarter or an eighth is decoded.
"""

from __future__ import annotations

import base64
import io
import math
import re
import stat
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from globe.data.encoding import is_our_jpeg, jpeg, png, stored_png
from globe.errors import InputError

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 50_000_000
"""Of one picture. Model servers refuse larger ones, too (`globe.serving.arguments`)."""
LOSSLESS_SIDE_PX = 128
MAX_SIDE_PX = 1536
"""Photos are stored no larger: the models scale anything above a million pixels down anyway."""

MAX_RATIO = 200
"""Of a picture's longer side to the shorter one; Qwen's processor refuses more, and nobody sees anything on such a strip."""
MAX_SCANS = 100
"""Of one JPEG. A progressive one has about ten; each is a pass over all pixels, and may be written in a few bytes."""
_STRIP_PIXELS = 1_000_000
"""Colours are converted this many pixels at a time, so that there is never a third copy of a whole picture."""
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_FORMATS = ("JPEG", "PNG", "WEBP")
_NO_PICTURES = (None, "HTML", "a PDF")
_ORIENTATION_TAG = 0x0112
_GPS_IFD = 0x8825
# EXIF orientation 2 to 8 -> the operation that undoes it (EXIF 2.32, tag 274).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Everything that Pillow's decoders and EXIF reader raise on damaged input.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, MemoryError)
_DECODER_ERRORS += (struct.error, OverflowError, AttributeError, Image.DecompressionBombError)  # type: ignore[assignment]


class TooManyPixelsError(InputError):
    """A picture of more than `MAX_PIXELS`."""


class TooManyBytesError(InputError):
    """A file of more than `MAX_BYTES`."""


class OtherKindError(InputError):
    """A file that is no JPEG, PNG or WEBP picture."""


class OtherPictureError(OtherKindError):
    """A picture of another kind than these."""


def check_pixels(name: str, image_bytes: bytes) -> tuple[int, int]:
    """Check the kind and the size of a picture that other code is going to decode; its header says both.

    Args:
        name: What it is called in messages.
        image_bytes: The picture.

    Returns:
        Width and height in pixels, as stored: EXIF rotation is not applied.

    Raises:
        TooManyBytesError: It is over `MAX_BYTES`.
        TooManyPixelsError: It is over `MAX_PIXELS`.
        OtherKindError: It is no picture of the three kinds.
        InputError: It is empty or damaged.
    """
    _, data = _read(image_bytes)
    with _open(name, data) as image:
        return image.size


def load_image(source: Path | bytes, max_side_px: int = 0, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    """Decode a JPEG, PNG or WEBP picture to upright RGB.

    EXIF rotation is applied, transparent parts become white, and of an animation the first frame is taken.

    Args:
        source: A file or its bytes.
        max_side_px: A picture whose longer side exceeds this is scaled down; 0 for no limit.
        resample: How it is scaled down.

    Returns:
        An RGB image without metadata, shape height x width.

    Raises:
        TooManyPixelsError: It is over `MAX_PIXELS`.
        InputError: Not a picture of these kinds, damaged, or over `MAX_BYTES`; names file and reason.
    """
    name, data = _read(source)
    return _loaded(name, _open(name, data), max_side_px, resample)


def _loaded(
    name: str, image: Image.Image, max_side_px: int, resample: Image.Resampling = Image.Resampling.LANCZOS
) -> Image.Image:
    """Decode an opened picture, and close it."""
    orientation = _orientation(image)
    try:
        picture = _decoded(image, max_side_px)
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    finally:
        image.close()  # before the next copy of the pixels is made
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    if max_side_px:
        picture.thumbnail((max_side_px, max_side_px), resample)
    picture.info = {}
    return picture


def _glance(name: str, image: Image.Image) -> None:
    """Decode an opened JPEG as small as it can be; all of it is still read, so what is damaged or cut off is found."""
    with image:
        try:
            image.draft(None, (1, 1))
            image.load()
        except _DECODER_ERRORS as error:
            raise _damaged(name, error) from error


def reencode(source: Path | bytes, max_side_px: int = MAX_SIDE_PX, *, compress: bool = True) -> bytes:
    """Decode a picture and encode its pixels again, so that no metadata and no trailing data survive.

    A JPEG of the very form that this function writes keeps its bytes, once all of it has been decoded: written a second time, its
    pixels would change. So a stored picture is the same wherever it goes, and the model is asked about what it has learned from.

    Args:
        source: A file or its bytes.
        max_side_px: A picture whose longer side exceeds this is scaled down.
        compress: False is for a reader on the same machine: a PNG is made in an eighth of the time, and takes more room.

    Returns:
        PNG bytes (lossless) when both sides are at most 128 px, else JPEG of quality 92.

    Raises:
        InputError: As `load_image`.
    """
    name, data = _read(source)
    image = _open(name, data)
    longer = max(image.size)
    if LOSSLESS_SIDE_PX < longer <= (max_side_px or longer) and is_our_jpeg(data, image.size):
        _glance(name, image)
        return data
    picture = _loaded(name, image, max_side_px)
    if max(picture.size) > LOSSLESS_SIDE_PX:
        return jpeg(picture)
    return png(picture) if compress else stored_png(picture)


def data_url(image_bytes: bytes) -> str:
    """Return a `data:` URL of stored picture bytes, as the OpenAI API takes it.

    Raises:
        InputError: The bytes are not JPEG, PNG or WEBP.
    """
    kind = _kind(image_bytes)
    if kind not in _FORMATS:
        raise InputError(f"a picture's bytes are {kind or 'of unknown kind'}; only JPEG, PNG and WEBP are sent")
    return f"data:image/{kind.lower()};base64,{base64.b64encode(image_bytes).decode()}"


def exif_position(source: Path | bytes) -> tuple[float, float] | None:
    """Read the position a camera stored in a picture.

    Args:
        source: A file or its bytes.

    Returns:
        (latitude, longitude) in degrees, or None if there is none or it cannot be trusted: no hemisphere, out of range,
        not a number, or exactly 0, 0, which cameras write when they have no fix.

    Raises:
        InputError: The file is not a JPEG, PNG or WEBP picture.
    """
    name, data = _read(source)
    with _open(name, data) as image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                gps: Mapping[int, Any] = image.getexif().get_ifd(_GPS_IFD)
            lat_deg = _signed_degrees(gps.get(2), gps.get(1), "N", "S")
            lon_deg = _signed_degrees(gps.get(4), gps.get(3), "E", "W")
        except (*_DECODER_ERRORS, ZeroDivisionError, UnicodeError):
            return None
    if lat_deg is None or lon_deg is None or (lat_deg == 0 and lon_deg == 0):
        return None
    if not (-90 <= lat_deg <= 90 and -180 <= lon_deg <= 180):
        return None
    return lat_deg, lon_deg


def _signed_degrees(value: Any, reference: Any, positive: str, negative: str) -> float | None:
    """Turn EXIF's (degrees, minutes, seconds) and hemisphere into signed degrees."""
    if isinstance(reference, bytes):
        reference = reference.decode("ascii")
    hemisphere = str(reference or "").strip("\0 ").upper()
    if hemisphere not in (positive, negative) or value is None:
        return None
    parts = [float(part) for part in value]
    if len(parts) != 3 or not all(math.isfinite(part) and part >= 0 for part in parts):
        return None
    if parts[1] > 60 or parts[2] > 60:
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    return degrees if hemisphere == positive else -degrees


def _read(source: Path | bytes) -> tuple[str, bytes]:
    """Return a name for messages, and the bytes, of which there are never more than `MAX_BYTES`."""
    if isinstance(source, bytes):
        name, data = "picture", source
    else:
        name = str(source)
        try:
            mode = Path(source).stat().st_mode
            if not stat.S_ISREG(mode):
                # Reading a pipe or a device might block or never end.
                raise InputError(f"{name}: not a regular file; give a JPEG, PNG or WEBP picture")
            with Path(source).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise InputError(f"{name}: no such file") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{name}: not readable ({getattr(error, 'strerror', None) or _brief(error)})") from error
    if len(data) > MAX_BYTES:
        raise TooManyBytesError(f"{name}: larger than {MAX_BYTES // 2**20} MiB; scale the picture down first")
    if not data:
        raise InputError(f"{name}: an empty file")
    return name, data


def _open(name: str, data: bytes) -> Image.Image:
    """Open a picture without decoding its pixels; its first bytes tell its kind, never its name."""
    kind = _kind(data)
    if kind not in _FORMATS:
        what = f"is {kind}" if kind else "is not a picture"
        other = OtherKindError if kind in _NO_PICTURES else OtherPictureError
        raise other(f"{name}: {what}; only JPEG, PNG and WEBP are accepted, convert it first")
    try:
        with warnings.catch_warnings():
            # Pillow warns about decompression bombs below our limit; ours is the one that counts.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise TooManyPixelsError(f"{name}: over {MAX_PIXELS} pixels; scale the picture down first") from None
    except UnidentifiedImageError:
        raise InputError(f"{name}: damaged or truncated {kind} picture") from None
    except _DECODER_ERRORS as error:
        raise InputError(f"{name}: damaged or truncated {kind} picture ({_brief(error)})") from error
    if kind == "JPEG" and _has_many_scans(data):
        image.close()
        raise InputError(f"{name}: a JPEG of over {MAX_SCANS} scans; save it anew")
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise TooManyPixelsError(f"{name}: {width} x {height} is over {MAX_PIXELS} pixels; scale the picture down first")
    if width < 1 or height < 1:
        image.close()
        raise InputError(f"{name}: has no pixels")
    return image


def _has_many_scans(data: bytes) -> bool:
    """Whether a JPEG is over `MAX_SCANS`. What only looks like a scan, as in a film after the picture, is not counted."""
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return False
    scans, at = 0, 2
    while scans <= MAX_SCANS and (marker := _MARKER.search(data, at)):
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        if marker[1] == b"\xd9":  # the end of the picture
            break
        scans += marker[1] == b"\xda"
    return scans > MAX_SCANS


def _kind(data: bytes) -> str | None:
    """Name a file's kind by its first bytes, including kinds that are refused, so that the message can say so."""
    head = data[:64]
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "a GIF"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "a TIFF or raw file"
    if head.startswith(b"BM"):
        return "a BMP"
    if head.startswith(b"%PDF"):
        return "a PDF"
    if head[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "an SVG"
    return "HTML" if start.startswith((b"<!doctype html", b"<html")) else None


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation: 1 (upright) if it is missing or damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(_ORIENTATION_TAG, 1)
    except (*_DECODER_ERRORS, UnicodeError):
        return 1
    return value if isinstance(value, int) else 1


def _decoded(image: Image.Image, max_side_px: int) -> Image.Image:
    """A copy of an opened picture's pixels as RGB: all, or of a large JPEG at least twice `max_side_px`, if that is given."""
    if max_side_px:
        twice = 2 * max_side_px / max(image.size)
        image.draft(None, (math.ceil(image.width * twice), math.ceil(image.height * twice)))  # other kinds have no such thing
    return _to_rgb(_webp_frame(image) if image.format == "WEBP" else image)


def _webp_frame(image: Any) -> Image.Image:
    """The first frame of a WEBP picture.

    Pillow's own `load` copies the frame once more, while its decoder still holds two canvases of the picture's size.
    """
    frame = image._decoder.get_next()
    if frame is None:
        raise EOFError("its first frame cannot be decoded")
    image._decoder = None
    return Image.frombuffer(image.rawmode, image.size, frame[0], "raw", image.rawmode, 0, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    """A copy of a picture as RGB, made strip by strip: each pixel's colour depends on no other pixel."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    image.load()  # an animation's size and mode may change with it
    picture = Image.new("RGB", image.size)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        picture.paste(_strip_to_rgb(image.crop(box)), box)
    return picture


def _strip_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit grey: Pillow's own conversion clips instead of scaling.
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        picture = Image.new("RGB", layer.size, (255, 255, 255))
        picture.paste(layer, mask=layer.getchannel("A"))
        return picture
    return image.convert("RGB")


def _damaged(name: str, error: BaseException) -> InputError:
    return InputError(f"{name}: damaged or truncated picture ({_brief(error)})")


def _brief(error: BaseException) -> str:
    """One short line of a library's message, without object addresses."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.split(" <")[0][:120]
