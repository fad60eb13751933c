"""The photo in a request, however it is sent; and what is no photo."""

from collections.abc import Iterator
from functools import partial

import httpx2
import pytest
from cli_inputs import picture
from scripted_vllm import gateway, scripted_vllm

post = partial(httpx2.post, timeout=60)  # the first question has the gazetteer loaded


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with scripted_vllm() as script, gateway(script, max_body_bytes=100_000) as address:
        yield f"{address}/locate"


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp", "application/octet-stream", "IMAGE/PNG; q=1"])
def test_the_body_is_the_photo(url, kind):
    assert post(url, content=picture(), headers={"Content-Type": kind}).json()["city"] == "Paris"


def test_a_form_has_the_photo(url):
    assert post(url, files={"image": ("name.png", picture(), "image/png")}).json()["city"] == "Paris"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"content": b"", "headers": {"Content-Type": "image/png"}}, 400, "no_photo"),
        ({"content": b"x" * 200_000, "headers": {"Content-Type": "image/png"}}, 413, "body_too_large"),
        ({"json": {"image": "x"}}, 415, "wrong_content_type"),
        ({"content": picture()}, 415, "wrong_content_type"),
        ({"content": picture(), "headers": {"Content-Type": "image/gif"}}, 415, "wrong_content_type"),
        ({"data": {"image": "x"}}, 415, "wrong_content_type"),
        ({"files": {"photo": picture()}}, 400, "no_photo"),
        ({"files": {"image": b""}}, 400, "no_photo"),
        ({"files": [("image", picture()), ("image", picture())]}, 400, "bad_form"),
        ({"files": {"image": picture()}, "data": {"n": "1"}}, 400, "bad_form"),
        ({"content": picture(), "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_form"),
        ({"content": picture(), "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, "bad_form"),
        ({"content": b"--x", "headers": {"Content-Type": f"multipart/form-data; boundary={'x' * 5000}"}}, 400, "bad_form"),
        ({"content": picture(), "headers": {"Content-Type": "image/png", "Sec-Fetch-Site": "cross-site"}}, 403, "cross_site"),
    ],
)
def test_what_is_no_photo_is_refused(url, sent, status, code):
    refused = post(url, **sent)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


def test_what_was_sent_wrongly_says_how_it_is_sent(url):
    refused = post(url, files={"image": picture()}, data={"n": "5"})
    assert "/locate?n=5" in refused.json()["error"]["message"]
    refused = post(url, content=picture(), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert "multipart/form-data with a file named image" in refused.json()["error"]["message"]
    assert "here it is POST" in httpx2.get(url).json()["error"]["message"]


def test_a_body_without_a_length_is_bounded_too(url):
    refused = post(url, content=iter([b"x" * 60_000] * 3), headers={"Content-Type": "image/png"})
    assert refused.status_code == 413
