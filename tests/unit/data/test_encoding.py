import io

import pytest
from PIL import Image

from globe.data.encoding import is_our_jpeg, jpeg, png, stored_png


def photo(size=(130, 90)) -> Image.Image:
    return Image.merge("RGB", [Image.effect_noise(size, 50) for _ in range(3)])


def other(picture: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", **{"quality": 92, **options})
    return out.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (130, 90)])
@pytest.mark.parametrize("encode", [png, stored_png])
def test_a_png_has_the_pixels_and_nothing_else(size, encode):
    image = photo(size)
    read = Image.open(io.BytesIO(encode(image)))
    assert (read.format, read.mode, read.size, read.info) == ("PNG", "RGB", size, {})
    assert read.tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (9, 200), (256, 255), (1536, 300)])
def test_a_jpeg_of_ours_is_known_again(size):
    data = jpeg(photo(size))
    assert is_our_jpeg(data, Image.open(io.BytesIO(data)).size)


ODD = Image.Exif()
ODD[0x010E] = "secret"


@pytest.mark.parametrize(
    "data",
    [
        other(photo(), quality=91),
        other(photo(), quality=93),
        other(photo(), subsampling=0),
        other(photo(), progressive=True),
        other(photo(), optimize=True),
        other(photo(), restart_marker_rows=1),
        other(photo(), exif=ODD.tobytes()),
        other(photo(), comment=b"secret"),
        other(photo(), dpi=(72, 72)),
        other(photo(), icc_profile=b"secret"),
        other(photo().convert("L")),
        other(photo().convert("CMYK")),
        png(photo()),
    ],
)
def test_what_is_written_in_another_way_is_not_ours(data):
    assert not is_our_jpeg(data, Image.open(io.BytesIO(data)).size)


def test_a_jpeg_of_ours_with_something_put_into_it_is_not_ours():
    picture = photo()
    data = jpeg(picture)
    middle = len(data) - 500
    for changed in (
        data + b"\0",
        data + data,
        data + b"secret\xff\xd9",
        data[:-2],
        data[:-2] + b"\xff\xff\xd9",
        data[:-2] + b"\xff\xfe\0\x08secret\xff\xd9",
        data[:middle] + b"\xff\xd0" + data[middle:],
        data[:middle] + b"\xff\xd9" + data[middle:],
        data[:2] + b"\xff\xfe\0\x08secret" + data[2:],
        data[:-2] + bytes(4 * picture.width * picture.height) + b"\xff\xd9",
        b"\xff\xd8\xff",
        b"",
    ):
        assert not is_our_jpeg(changed, picture.size)
    assert not is_our_jpeg(data, (130, 89))
