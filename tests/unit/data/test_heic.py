"""HEIC photos, decoded elsewhere."""

import io

import pytest
from PIL import Image

from globe.data import heic as heic_module
from globe.data.heic import heic_as_png, is_heic
from globe.data.images import TooManyPixelsError, exif_position
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError

from ..shared.heic_file import HEIGHT_PX, QUARTERS, WIDTH_PX, heic
from .test_sources import AREZZO


def exif():
    written = Image.Exif()
    written[0x8825] = AREZZO
    written[0x0112] = 6  # cameras write it, and have the file say the same in a way of its own
    return written.tobytes().removeprefix(b"Exif\0\0")


def quarters(png):
    picture = Image.open(io.BytesIO(png))
    width, height = picture.size
    return [picture.getpixel((x, y)) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


def alike(found, wanted):
    return all(abs(a - b) < 12 for one, other in zip(found, wanted, strict=True) for a, b in zip(one, other, strict=True))


def test_a_heic_picture_has_its_colours_where_they_belong():
    data = heic()
    assert is_heic(data)
    png = heic_as_png(data)
    assert Image.open(io.BytesIO(png)).size == (WIDTH_PX, HEIGHT_PX)
    assert alike(quarters(png), QUARTERS)


def test_it_is_turned_once_and_keeps_its_position():
    png = heic_as_png(heic(exif(), quarter_turns=1))
    assert Image.open(io.BytesIO(png)).size == (HEIGHT_PX, WIDTH_PX)
    above_left, above_right, below_left, below_right = QUARTERS
    assert alike(quarters(png), (above_right, below_right, above_left, below_left))
    assert Image.open(io.BytesIO(png)).getexif().get(0x0112, 1) == 1
    assert exif_position(png) == pytest.approx((43.4674, 11.8851), abs=1e-3)


def test_it_is_scaled_down_to_what_is_asked_for():
    assert Image.open(io.BytesIO(heic_as_png(heic(), 32))).size == (32, 24)


def test_photos_of_phones_are_a_source(tmp_path):
    (tmp_path / "IMG_0001.HEIC").write_bytes(heic(exif()))
    (tmp_path / "IMG_0002.heic").write_bytes(heic(exif())[:-60])
    (tmp_path / "IMG_0003.heic").write_bytes(heic())
    (tmp_path / "called.jpg").write_bytes(heic(exif(), quarter_turns=2))
    report = SourceReport()
    rows = list(read_source(tmp_path, report))
    assert [(row.id, row.city) for row in rows] == [("IMG_0001.HEIC", "Arezzo"), ("called.jpg", "Arezzo")]
    assert report.quarantined == {"picture_not_readable": ["IMG_0002.heic"], "no_position": ["IMG_0003.heic"]}
    assert exif_position(rows[0].image) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x18ftypheic" + bytes(100),
        heic()[:300],
        heic().replace(b"hvcC", b"xxxx"),
        heic(said_size=(16, 16)),  # smaller than it is, as a bomb would say
        heic().replace(b"mdat", b"free", 1)[: len(heic()) - 40],
    ],
)
def test_a_damaged_file_is_one_clear_error(data):
    with pytest.raises(InputError, match="HEIC") as caught:
        heic_as_png(data)
    assert not isinstance(caught.value, TooManyPixelsError)


@pytest.mark.parametrize("side_px", [8_000, 20_000])
def test_a_picture_that_says_it_is_too_large_is_not_decoded(side_px):
    with pytest.raises(TooManyPixelsError):
        heic_as_png(heic(said_size=(side_px, side_px)))


def test_a_decoder_that_takes_too_long_costs_one_picture(monkeypatch):
    monkeypatch.setattr(heic_module, "TIMEOUT_S", 0.001)
    with pytest.raises(InputError, match="not decoded within"):
        heic_as_png(heic())


def test_a_decoder_that_takes_too_much_memory_costs_one_picture(monkeypatch):
    monkeypatch.setattr(heic_module, "MAX_MEMORY_BYTES", 40 * 2**20)
    with pytest.raises(InputError, match="damaged"):
        heic_as_png(heic())
