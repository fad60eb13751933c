"""A photo as it leaves this machine."""

import io
from pathlib import Path

import pytest
from PIL import Image

from globe.data.sendable import sendable
from globe.errors import InputError


def encoded(size: tuple[int, int], **more: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, "JPEG", **more)
    return out.getvalue()


def test_a_photo_is_upright_and_has_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home"
    sent = sendable(encoded((400, 200), exif=exif))
    picture = Image.open(io.BytesIO(sent))
    assert (picture.size, dict(picture.getexif())) == ((200, 400), {})
    assert b"home" not in sent


def test_a_large_photo_is_scaled_down() -> None:
    assert Image.open(io.BytesIO(sendable(encoded((4000, 1000))))).size == (1536, 384)


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1), (3, 900)])
def test_a_strip_is_refused_and_named(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "strip.jpg").write_bytes(encoded(size))
    with pytest.raises(InputError, match=r"strip\.jpg: over 200 times as long as it is wide"):
        sendable(tmp_path / "strip.jpg")
    with pytest.raises(InputError, match="picture: over 200 times"):
        sendable(encoded(size))


def test_a_narrow_photo_is_taken() -> None:
    assert Image.open(io.BytesIO(sendable(encoded((10, 1500))))).size == (10, 1500)
