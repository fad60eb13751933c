"""The plain client: what it sends and gives back, what it does again, and how it fails."""

import io
import time
from dataclasses import asdict

import pytest
from cli_inputs import picture
from PIL import Image

from globe.client import Globe, Located, Progress, Reasoning, Refused, Unavailable
from globe.errors import InputError


def geotagged() -> bytes:
    image, out = Image.new("RGB", (300, 200), "green"), io.BytesIO()
    exif = image.getexif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 0.0), 3: "E", 4: (2.0, 21.0, 0.0)})
    exif[0x010E] = "taken at home"
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_a_photo_is_located_by_a_real_gateway(vllm, url, tmp_path):
    (tmp_path / "photo.png").write_bytes(picture())
    photos = [tmp_path / "photo.png", str(tmp_path / "photo.png"), picture(), io.BytesIO(picture())]
    with Globe(url) as globe:
        told = [globe.locate(photo, n=3) for photo in photos]
    assert {(one.status, one.city, one.country, one.n, one.answered, one.confidence) for one in told} == {
        ("ok", "Paris", "France", 3, 3, 1.0)
    }


def test_reasoning_progress_and_place_stream_in_this_order(vllm, url):
    vllm.pause_s = 0.02
    with Globe(f"{url}/v1") as globe:
        events = list(globe.locate_stream(picture()))
    assert "".join(event.text for event in events if isinstance(event, Reasoning)) == "Tall stone buildings line the street."
    assert [type(event) for event in events[-2:]] == [Progress, Located]
    assert events[-1].city == "Paris"


def test_precision_is_asked_for(url):
    with Globe(url) as globe:
        told = globe.locate(picture(), max_precision="country")
    assert (told.precision, told.country, told.city, told.level) == ("country", "France", "", "country")


def test_every_field_of_the_answer_is_there(scripted, answer):
    scripted.answer(answer | {"a_later_field": 1})
    with Globe(scripted.url) as globe:
        told = asdict(globe.locate(picture()))
    assert told == answer | {"alternatives": tuple(answer["alternatives"])}


def test_a_photos_metadata_does_not_leave(scripted, answer):
    scripted.answer(answer)
    with Globe(scripted.url) as globe:
        globe.locate(geotagged(), n=2, max_precision="region")
    ((path, headers, body),) = scripted.asked
    assert (path, headers["content-type"]) == ("/locate?n=2&max_precision=region", "image/jpeg")
    assert b"Exif" not in body
    assert b"home" not in body
    assert Image.open(io.BytesIO(body)).size == (300, 200)


def test_not_now_is_asked_again_after_the_time_that_is_told(scripted, answer):
    scripted.refuse(503, Retry_After="1")
    scripted.refuse(429, Retry_After="1")
    scripted.answer(answer)
    started_s = time.monotonic()
    with Globe(scripted.url, timeout_s=100) as globe:
        assert globe.locate(picture()).city == "Paris"
    assert len(scripted.asked) == 3
    assert 2.0 <= time.monotonic() - started_s < 50


def test_what_would_take_longer_than_there_is_time_fails_at_once(scripted):
    scripted.refuse(503, "overloaded", Retry_After="60")
    with Globe(scripted.url, timeout_s=5) as globe, pytest.raises(Unavailable, match="overloaded was said"):
        globe.locate(picture())
    assert len(scripted.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 413, 415, 422])
def test_a_refusal_says_why_and_is_not_asked_again(scripted, status):
    scripted.refuse(status, "some_code")
    with Globe(scripted.url) as globe, pytest.raises(Refused, match="some_code was said") as refused:
        globe.locate(picture())
    assert (refused.value.status, refused.value.code, len(scripted.asked)) == (status, "some_code", 1)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((200, {"Content-Type": "text/html"}, "<html>"), "not a GLOBE gateway"),
        ((200, {"Content-Type": "application/json"}, '{"status": "ok"}'), "not a GLOBE gateway"),
        ((404, {"Content-Type": "text/html"}, "<html>"), "is a GLOBE gateway running there"),
        ((302, {"Location": "http://127.0.0.1:9/"}, ""), "HTTP status 302"),
        ((200, {"Content-Type": "text/event-stream"}, "event: reasoning\ndata: {}\n\n"), "not a GLOBE gateway"),
        ((200, {"Content-Type": "text/event-stream"}, ": waiting\n\nevent: progress\n"), "ended before the answer"),
        ((200, {"Content-Type": "text/event-stream"}, 'event: error\ndata: {"error": {"message": "m", "code": "c"}}\n\n'), "m"),
    ],
)
def test_what_is_no_answer_is_one_error(scripted, reply, said):
    scripted.replies.append(reply)
    with Globe(scripted.url) as globe, pytest.raises((Unavailable, Refused), match=said):
        list(globe.locate_stream(picture()))


def test_nobody_there_is_told_after_a_few_tries():
    with Globe("http://127.0.0.1:9", timeout_s=20) as globe, pytest.raises(Unavailable, match="no answer"):
        globe.locate(picture())


@pytest.mark.parametrize("photo", [b"", b"no picture"])
def test_what_is_no_photo_is_not_sent(scripted, photo):
    with Globe(scripted.url) as globe, pytest.raises(InputError):
        globe.locate(photo)
    assert scripted.asked == []
