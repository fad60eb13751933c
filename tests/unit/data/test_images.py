import contextlib
import io
import os
import random
import struct
import subprocess
import sys
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat
from PIL.TiffImagePlugin import IFDRational

from globe.data.images import (
    MAX_PIXELS,
    OtherKindError,
    TooManyBytesError,
    TooManyPixelsError,
    check_pixels,
    data_url,
    exif_position,
    load_image,
    reencode,
)
from globe.errors import InputError


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def two_colours(size=(40, 20)):
    """Left half red, right half blue."""
    image = Image.new("RGB", size, (255, 0, 0))
    image.paste((0, 0, 255), (size[0] // 2, 0, *size))
    return image


def gps_exif(lat=(43, 28, 2.8), lat_ref="N", lon=(11, 53, 6.4), lon_ref="E", orientation=None):
    exif = Image.Exif()
    gps = {1: lat_ref, 2: lat, 3: lon_ref, 4: lon}
    exif[0x8825] = {key: value for key, value in gps.items() if value is not None}
    if orientation:
        exif[0x0112] = orientation
    return exif.tobytes()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def black_png(side, depth, kind, bits, *, chunks=b""):
    """A PNG of side x side pixels, all of whose bytes are 0: some 100 kB for 49 million pixels."""
    packer = zlib.compressobj(9)
    row = b"\0" + bytes(side * bits // 8)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_of_size(width, height):
    """A PNG whose header promises width x height and whose data is tiny."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_three_kinds_are_decoded_whatever_the_file_is_called(tmp_path, kind):
    path = tmp_path / "photo.gif"
    path.write_bytes(encode(two_colours(), kind))
    picture = load_image(path)
    assert picture.mode == "RGB"
    assert picture.size == (40, 20)
    assert picture.getpixel((2, 10))[0] > 200


@pytest.mark.parametrize(
    ("orientation", "size", "red_at"),
    [(1, (40, 20), (5, 10)), (3, (40, 20), (35, 10)), (6, (20, 40), (10, 5)), (8, (20, 40), (10, 35))],
)
def test_exif_rotation_is_applied(orientation, size, red_at):
    picture = load_image(encode(two_colours(), "JPEG", exif=gps_exif(orientation=orientation), quality=95))
    assert picture.size == size
    red, _, blue = picture.getpixel(red_at)
    assert red > 200 > 60 > blue


def test_transparency_is_put_on_white():
    layer = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert load_image(encode(layer, "PNG")).getpixel((1, 1)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert load_image(encode(palette, "PNG", transparency=0)).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "CMYK", "RGBA"])
def test_every_colour_mode_becomes_rgb(mode):
    image = Image.new(mode, (8, 8))
    assert load_image(encode(image, "JPEG" if mode == "CMYK" else "PNG")).mode == "RGB"


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    image = Image.new("I;16", (4, 4), 32896)
    assert load_image(encode(image, "PNG")).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode(two_colours(), "GIF"), "GIF"),
        (encode(two_colours(), "TIFF"), "TIFF"),
        (encode(two_colours(), "BMP"), "BMP"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"hello", "not a picture"),
        (b"", "empty"),
        (encode(two_colours(), "JPEG")[:300], "truncated"),
        (encode(two_colours(), "PNG")[:60], "truncated"),
        (encode(two_colours(), "WEBP")[:40], "truncated"),
        (b"\xff\xd8\xff\xe0 nonsense", "damaged"),
        (png_of_size(30_000, 30_000), "pixels"),
        (png_of_size(12_000, 12_000), "pixels"),
        (png_of_size(0, 10), "damaged"),
    ],
)
def test_anything_else_is_refused_with_file_and_reason(tmp_path, data, reason):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason) as caught:
        load_image(path)
    assert "photo.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_pipe_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ["absent.jpg", ".", "pipe.jpg", "nul\0.jpg"]:
        with pytest.raises(InputError):
            load_image(tmp_path / name)


def test_a_file_over_the_size_limit_is_refused(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(65 * 2**20)
    with pytest.raises(InputError, match="MiB"):
        load_image(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    spots=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_bytes_never_raise_anything_but_a_clear_error(kind, spots):
    options = {"exif": gps_exif(orientation=6)} if kind != "PNG" else {}
    data = bytearray(encode(two_colours(), kind, **options))
    for where, value in spots:
        data[int(where * len(data))] = value
    for read in (load_image, exif_position):
        with contextlib.suppress(InputError):
            read(bytes(data))


def test_reencoding_is_lossless_for_small_pictures_and_jpeg_for_large_ones():
    small = load_image(encode(two_colours((128, 64)), "PNG"))
    assert Image.open(io.BytesIO(reencode(encode(small, "PNG")))).format == "PNG"
    assert load_image(reencode(encode(small, "PNG"))).tobytes() == small.tobytes()
    large = Image.open(io.BytesIO(reencode(encode(two_colours((3000, 1000)), "PNG"), max_side_px=600)))
    assert (large.format, large.size) == ("JPEG", (600, 200))


@pytest.mark.parametrize("size", [(40, 20), (400, 200)])
def test_no_metadata_survives_reencoding(size):
    options = {"exif": gps_exif(), "icc_profile": b"secret-profile", "comment": b"secret-comment"}
    data = encode(two_colours(size), "JPEG", **options) + b"secret-trailer"
    clean = reencode(data)
    assert b"secret" not in clean
    assert exif_position(clean) is None
    assert not Image.open(io.BytesIO(clean)).getexif()


def test_a_data_url_states_the_real_kind():
    assert data_url(encode(two_colours(), "WEBP")).startswith("data:image/webp;base64,")
    with pytest.raises(InputError, match="GIF"):
        data_url(encode(two_colours(), "GIF"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (43.467444, 11.885111)),
        ({"lat_ref": "S", "lon_ref": "W"}, (-43.467444, -11.885111)),
        ({"lat_ref": None}, None),
        ({"lat_ref": "X"}, None),
        ({"lat": (91, 0, 0)}, None),
        ({"lon": (181, 0, 0)}, None),
        ({"lat": (0, 0, 0), "lon": (0, 0, 0)}, None),
        ({"lat": (IFDRational(1, 0), 0, 0)}, None),
        ({"lat": (43, 99, 0)}, None),
        ({"lat": (43.5, 0)}, None),
    ],
)
def test_a_position_is_read_from_exif_or_not_at_all(changes, expected):
    position = exif_position(encode(two_colours(), "JPEG", exif=gps_exif(**changes)))
    assert position == (pytest.approx(expected, abs=1e-5) if expected else None)


def test_exif_garbage_gives_no_position_but_the_picture_still_loads():
    garbage = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(256))
    data = encode(two_colours(), "JPEG", exif=garbage)
    assert exif_position(data) is None
    assert load_image(data).size == (40, 20)


PEAK = """
import sys
from pathlib import Path
from globe.data.images import reencode
from globe.errors import InputError
try:
    reencode(Path(sys.argv[1]))
    print("read", end=" ")
except InputError:
    print("refused", end=" ")
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))  # getrusage counts the parent's
print(int(peak) // 1024)
"""
TURNED = gps_exif(orientation=6)
BOMBS = {
    "RGBA": lambda: black_png(7000, 8, 6, 32),
    "RGBA of 16 bits": lambda: black_png(7000, 16, 6, 64),
    "progressive JPEG": lambda: encode(Image.new("RGB", (7000, 7000)), "JPEG", progressive=True, subsampling=0, exif=TURNED),
    "large JPEG that is too small to be halved": lambda: encode(
        Image.new("CMYK", (6140, 6140)), "JPEG", progressive=True, subsampling=0, exif=TURNED
    ),
    "WEBP": lambda: encode(Image.new("RGBA", (16383, 3000), (1, 2, 3, 100)), "WEBP"),
}


def outcome_and_peak_mb(path, data):
    path.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    outcome, peak = done.stdout.split()
    return outcome, int(peak)


@pytest.mark.parametrize("name", BOMBS)
def test_the_largest_pictures_of_each_kind_are_read_in_two_thirds_of_a_gigabyte(tmp_path, name):
    outcome, peak_mb = outcome_and_peak_mb(tmp_path / "photo", BOMBS[name]())
    assert outcome == "read"
    assert peak_mb < 700


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_by_its_header(tmp_path):
    bomb = black_png(10_900, 8, 6, 32)
    assert len(bomb) < 2**20
    outcome, peak_mb = outcome_and_peak_mb(tmp_path / "photo", bomb)
    assert outcome == "refused"
    assert peak_mb < 100


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_metadata_that_unpacks_to_much_is_refused(tmp_path, kind):
    packed = zlib.compress(bytes(2**27), 9)
    text = b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0"
    outcome, peak_mb = outcome_and_peak_mb(tmp_path / "photo", black_png(8, 8, 6, 32, chunks=20 * chunk(kind, text + packed)))
    assert outcome == "refused"
    assert peak_mb < 150


def test_a_jpeg_of_thousands_of_scans_is_refused_at_once_and_bytes_after_its_end_are_no_scans():
    good = encode(two_colours(), "JPEG", progressive=True)
    last = good[good.rindex(b"\xff\xda") : -2]
    with pytest.raises(InputError, match="scans"):
        load_image(good[:-2] + 5000 * last + good[-2:])
    film = b"\xff\xda\0\2" * 5000
    assert load_image(good + film).tobytes() == load_image(good).tobytes()


def test_of_a_large_jpeg_only_a_part_is_decoded_and_it_looks_the_same():
    shades = Image.linear_gradient("L").resize((3300, 2200))
    photo = Image.merge("RGB", (shades, shades.rotate(180), shades))
    jpeg, png = (reencode(encode(photo, kind, exif=gps_exif(orientation=6)), 400) for kind in ("JPEG", "PNG"))
    ours, whole = load_image(jpeg), load_image(png)
    assert ours.size == whole.size == (267, 400)
    assert ImageStat.Stat(ImageChops.difference(ours, whole)).mean < [1, 1, 1]


def test_too_many_pixels_are_told_apart_from_damage():
    for check in (load_image, lambda data: check_pixels("a picture", data)):
        with pytest.raises(TooManyPixelsError, match=f"{MAX_PIXELS} pixels"):
            check(png_of_size(10_000, 5_001))
    check_pixels("a picture", png_of_size(10_000, 5_000))
    with pytest.raises(InputError, match="a picture: is a GIF"):
        check_pixels("a picture", encode(two_colours(), "GIF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(90, 128), (300, 200)])
def test_a_picture_that_was_stored_is_stored_the_same_again(kind, size):
    photo = Image.effect_noise(size, 50).convert("RGB")
    stored = reencode(encode(photo, kind))
    assert reencode(stored) == stored
    uncompressed = reencode(encode(photo, kind), compress=False)
    assert load_image(reencode(uncompressed, compress=False)).tobytes() == load_image(stored).tobytes()
    small = reencode(stored, 60)
    assert max(load_image(small).size) == 60


def test_a_damaged_stored_jpeg_is_refused_exactly_when_decoding_all_of_it_fails():
    rng = random.Random(0)
    noise = Image.frombytes("L", (300, 200), rng.randbytes(300 * 200))  # Pillow's own noise differs from run to run
    stored = reencode(encode(noise.convert("RGB"), "PNG"))
    outcomes = []
    for _ in range(400):
        first = rng.randrange(700, len(stored) - 400)
        damaged = stored[:first] + rng.randbytes(2) + stored[first + rng.choice((2, 200)) :]
        outcomes.append((fails(load_image, damaged), fails(reencode, damaged)))
        cut = stored[:first] + b"\xff\xd9"
        outcomes.append((fails(load_image, cut), fails(reencode, cut)))
    assert all(whole == glance for whole, glance in outcomes)
    assert {bool(whole) for whole, _ in outcomes} == {False, True}


def fails(decode, data):
    """How reading a picture fails; "" if it doesn't."""
    try:
        decode(data)
    except InputError as error:
        return str(error)
    return ""


def test_a_stored_jpeg_with_anything_else_in_it_is_written_anew():
    photo = Image.effect_noise((300, 200), 50).convert("RGB")
    turned = encode(photo, "JPEG", quality=92, exif=gps_exif(orientation=6))
    assert load_image(reencode(turned)).size == (200, 300)
    stored = reencode(encode(photo, "PNG"))
    for changed in (stored + b"PK\x03\x04secret", stored[:2] + b"\xff\xfe\0\x08secret" + stored[2:]):
        assert b"secret" not in reencode(changed)
        assert ImageStat.Stat(ImageChops.difference(load_image(reencode(changed)), load_image(stored))).mean < [1, 1, 1]


def test_the_size_and_the_reason_of_a_refusal_are_told_apart():
    assert check_pixels("picture", encode(two_colours(), "PNG")) == (40, 20)
    with pytest.raises(OtherKindError):
        check_pixels("picture", b"hello")
    with pytest.raises(TooManyPixelsError):
        check_pixels("picture", png_of_size(12_000, 12_000))
    with pytest.raises(TooManyBytesError):
        check_pixels("picture", bytes(64 * 2**20 + 1))
