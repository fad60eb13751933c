import asyncio
import base64
import io
import struct
import threading
import zlib

import pytest
from PIL import Image, ImageChops, PngImagePlugin

from globe.data.images import load_image, reencode
from globe.gateway.memory import Memory
from globe.gateway.pictures import COPIES, Pictures, picture_bytes
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings


def encoded(image, kind="PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photo(width, height) -> Image.Image:
    """Noise over a gradient: nothing that any filter foresees."""
    noise = Image.effect_noise((width, height), 60)
    slope = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (noise, slope, ImageChops.add(noise, slope, 2)))


def prepared(data: bytes, **settings):
    return asyncio.run(Pictures(GatewaySettings(**settings)).prepare(data))


def engine_sees(picture) -> Image.Image:
    return Image.open(io.BytesIO(picture_bytes(picture.url)))


def refused(data: bytes, **settings) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        prepared(data, **settings)
    assert caught.value.message
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (112, 112), (128, 64)])
def test_a_small_picture_keeps_its_pixels_exactly(kind, size):
    data = encoded(photo(*size), kind)
    picture = prepared(data)
    seen = engine_sees(picture)
    assert seen.format == "PNG"
    assert seen.tobytes() == load_image(data).tobytes()
    assert picture.pixels == size[0] * size[1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(129, 60), (1152, 864), (1536, 8), (2000, 1500)])
def test_a_larger_one_becomes_what_those_are_that_the_model_has_learned_from(kind, size):
    data = encoded(photo(*size), kind)
    picture = prepared(data)
    assert picture_bytes(picture.url) == reencode(data)
    assert engine_sees(picture).size == ((1536, 1152) if size == (2000, 1500) else size)
    assert picture.pixels == size[0] * size[1]
    assert prepared(picture_bytes(picture.url)).url == picture.url


def test_a_turned_picture_is_turned_back_and_nothing_but_pixels_is_left():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret"
    exif[0x8825] = {1: "N", 2: (43.0, 28.0, 2.0), 3: "E", 4: (11.0, 53.0, 6.0)}
    text = PngImagePlugin.PngInfo()
    text.add_text("note", "secret")
    image = photo(60, 40)
    data = encoded(image, exif=exif.tobytes(), pnginfo=text) + b"PK\x03\x04secret"
    picture = prepared(data)
    assert engine_sees(picture).size == (40, 60)
    assert engine_sees(picture).tobytes() == image.transpose(Image.Transpose.ROTATE_270).tobytes()
    assert engine_sees(picture).info == {}
    assert b"secret" not in picture_bytes(picture.url)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "RGBA"])
def test_every_colour_mode_becomes_what_training_makes_of_it(mode):
    data = encoded(Image.new(mode, (30, 20), 1 if mode == "1" else None or 0))
    assert engine_sees(prepared(data)).tobytes() == load_image(data).tobytes()


def png_of(width, height) -> bytes:
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "damaged_picture"),
        (b"hello", 415, "not_a_picture"),
        (encoded(Image.new("RGB", (9, 9)), "GIF"), 415, "not_a_picture"),
        (encoded(photo(90, 90))[:200], 422, "damaged_picture"),
        (encoded(photo(90, 90), "JPEG")[:600], 422, "damaged_picture"),
        (encoded(Image.new("RGB", (400, 1))), 422, "picture_too_narrow"),
        (encoded(Image.new("RGB", (1, 201))), 422, "picture_too_narrow"),
        (encoded(Image.new("RGB", (1, 2000))), 422, "picture_too_narrow"),
        (encoded(Image.new("RGB", (2000, 9))), 422, "picture_too_narrow"),
        (png_of(8000, 8000), 413, "too_many_pixels"),
        (png_of(60_000, 60_000), 413, "too_many_pixels"),
        (b"\xff\xd8\xff" + bytes(65 * 2**20), 413, "picture_too_large"),
    ],
)
def test_what_is_not_taken_has_a_code_of_its_own(data, status, code):
    assert refused(data) == (status, code)


def test_the_operators_bound_on_pixels_holds_where_it_is_the_lower_one():
    assert refused(encoded(Image.new("RGB", (101, 100))), max_pixels=10_000) == (413, "too_many_pixels")
    assert prepared(encoded(Image.new("RGB", (100, 100))), max_pixels=10_000).pixels == 10_000
    assert refused(png_of(8000, 8000), max_pixels=10**9) == (413, "too_many_pixels")


def test_200_to_1_is_the_narrowest_and_still_is_after_scaling():
    assert prepared(encoded(Image.new("RGB", (200, 1)))).pixels == 200
    narrow = engine_sees(prepared(encoded(Image.new("RGB", (20_000, 101)))))
    assert narrow.width <= 200 * narrow.height


def test_what_is_held_for_a_picture_is_counted_for_its_request():
    memory = Memory(2_000_000)

    async def ask() -> None:
        pictures = Pictures(GatewaySettings())
        with memory.request():
            picture = await pictures.prepare(encoded(photo(500, 500)))
            assert memory.held_bytes == COPIES * len(picture.url)
        with memory.request(), pytest.raises(Refused) as refused:
            await asyncio.gather(*(pictures.prepare(encoded(photo(500, 500))) for _ in range(9)))
        assert refused.value.status == 503

    asyncio.run(ask())
    assert memory.held_bytes == 0


def test_of_large_pictures_one_is_decoded_at_a_time_and_small_ones_go_past_it(monkeypatch):
    """No more threads than workers, and one for large ones, however many ask."""
    running: dict[str, int] = {}
    most: dict[str, int] = {}
    ended: list[str] = []
    release = threading.Event()

    def slow(data: bytes) -> str:
        kind = threading.current_thread().name.rpartition("_")[0]
        running[kind] = running.get(kind, 0) + 1
        most[kind] = max(most.get(kind, 0), running[kind])
        if kind == "large-picture":
            release.wait(20)
        running[kind] -= 1
        ended.append(kind)
        return "data:,"

    monkeypatch.setattr("globe.gateway.pictures._safe_url", slow)
    large, small = png_of(3000, 2000), png_of(130, 130)

    async def ask() -> None:
        pictures = Pictures(GatewaySettings())
        waiting = [asyncio.create_task(pictures.prepare(large)) for _ in range(5)]
        await asyncio.gather(*(pictures.prepare(small) for _ in range(50)))
        release.set()
        await asyncio.gather(*waiting)

    asyncio.run(ask())
    assert most["large-picture"] == 1
    assert most["picture"] <= 4
    assert ended == ["picture"] * 50 + ["large-picture"] * 5


def test_a_tiny_picture_waits_for_no_thread_but_a_large_file_that_calls_itself_tiny_does(monkeypatch):
    threads = []
    monkeypatch.setattr("globe.gateway.pictures._safe_url", lambda data: threads.append(threading.current_thread()) or "data:,")
    for data in (png_of(128, 128), png_of(129, 128), png_of(128, 128) + bytes(2**16)):
        prepared(data)
    assert [thread is threading.main_thread() for thread in threads] == [True, False, False]


GOOD = base64.b64encode(b"pixels").decode()


@pytest.mark.parametrize(
    "head",
    ["data:image;base64,", "data:image/jpeg;base64,", "data:;base64,", "DATA:IMAGE/PNG;BASE64,", "data:text/html;x=y;base64,"],
)
def test_a_data_url_is_read_whatever_it_calls_itself(head):
    assert picture_bytes(head + GOOD) == b"pixels"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1/x.png", "not_a_data_url"),
        ("HTTPS://example.org/x.png", "not_a_data_url"),
        ("file:///etc/passwd", "not_a_data_url"),
        ("ftp://a/b", "not_a_data_url"),
        ("//a/b", "not_a_data_url"),
        ("/etc/passwd", "not_a_data_url"),
        ("", "not_a_data_url"),
        (" data:image/png;base64," + GOOD, "not_a_data_url"),
        ("data:image/png," + GOOD, "not_a_data_url"),
        ("data:image/png;base64", "not_a_data_url"),
        ("data:image/png;base64x," + GOOD, "not_a_data_url"),
        ("data:image/png;base64,AAA", "broken_base64"),
        ("data:image/png;base64,AA\nAA", "broken_base64"),
        ("data:image/png;base64, " + GOOD, "broken_base64"),
        ("data:image/png;base64,AA-_", "broken_base64"),
        ("data:image/png;base64,AAAA=AAA", "broken_base64"),
        ("data:image/png;base64,äöü", "broken_base64"),
        ("data:image/png;base64,AAA\ud800", "broken_base64"),
    ],
)
def test_any_other_address_is_refused_and_none_is_quoted(url, code):
    with pytest.raises(Refused) as refused:
        picture_bytes(url)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert "passwd" not in refused.value.message
    assert "example" not in refused.value.message
