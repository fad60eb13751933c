"""Finding a model: whatever answers at an address, it is one clear line."""

import pytest

from globe.asking.client import Served, check_url, find_model, server_version
from globe.errors import GlobeError, InputError

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("globe.asking.client.CONTACT_RETRIES", 0)


def page(body: str, kind: str = "application/json", status: int = 200):
    return status, kind, body


@pytest.mark.parametrize(
    "odd",
    [page("<html><body>Welcome</body></html>", "text/html"), page("<html></html>"), page(""), page("null"), page("[]"), page("7"),
     page("{}"), page('{"data": null}'), page('{"data": 7}'), page('{"data": {"a": 1}}'), page('{"data": [null]}'),
     page('{"data": ["x"]}'), page('{"data": [{"name": "x"}]}'), page('{"data": []}'), page('{"error": {"message": "no"}}'),
     page("[" * 100_000), page('{"data": [{"id": "x"'), page("oh", "text/plain", 500), page("<html>" * 9999, "text/html", 404),
     page("{}", status=401), page("\0\x1b[31m", status=418)],
)  # fmt: skip
def test_what_lists_no_models_is_told_in_one_line(model, odd):
    model.page = odd
    with pytest.raises(GlobeError, match=model.url) as error:
        find_model(model.url)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "reply",
    [b"", b"hello\n", b"\xff" * 100, OK + b"\r\n", OK + b"Content-Length: 500\r\n\r\n{", OK + b"Content-Length: x\r\n\r\n{}",
     OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
     OK + b"X: y\r\n" * 40_000 + b"\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
     b"HTTP/1.1 302 Found\r\nLocation: /v1/loop\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: ftp://[\r\n\r\n"],
)  # fmt: skip
def test_what_does_not_even_speak_http_is_told_in_one_line(raw_server, reply):
    url = raw_server(reply)
    with pytest.raises(GlobeError, match=url) as error:
        find_model(url)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("room", ["many", True, -5, None, 4096])
def test_a_card_that_says_odd_things_is_read_as_far_as_it_goes(model, room):
    model.max_model_len = room
    assert find_model(model.url) == Served("stand-in", "", 4096 if room == 4096 else 0)


def test_the_names_that_a_server_serves_are_told_without_control_characters(model):
    model.name = "a\x1b[31mb"
    with pytest.raises(InputError, match="it serves a") as error:
        find_model(model.url, "x")
    assert str(error.value).isprintable()


def test_the_server_may_say_which_release_it_is(model):
    assert server_version(model.url) == ""  # it has no such page
    for body, version in (
        ('{"version": "0.32.0"}', "0.32.0"),
        ('{"version": 7}', ""),
        ("<html>", ""),
        ('{"version": "\\u001b"}', ""),
    ):
        model.page = page(body)
        assert server_version(model.url) == version


@pytest.mark.parametrize("url", ["http://name:secret@host/v1", "http://name@host/v1"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url):
    with pytest.raises(InputError, match="GLOBE_API_KEY") as error:
        check_url(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("key", ["two\nlines", "clé", "tab\there"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(model, monkeypatch, key):
    monkeypatch.setenv("GLOBE_API_KEY", key)
    with pytest.raises(InputError, match="GLOBE_API_KEY") as error:
        find_model(model.url)
    assert key not in str(error.value)
    assert not model.keys


def test_a_server_that_wants_a_key_says_so(model):
    model.page = page("{}", status=401)
    with pytest.raises(GlobeError, match="set GLOBE_API_KEY"):
        find_model(model.url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/\x1b[31m/v1", "http://127.0.0.1/a b/v1", "http://127.0.0.1:99999/v1", "localhost"]
)
def test_what_no_request_can_carry_is_no_url(url):
    with pytest.raises(InputError, match=r"not an http\(s\) URL"):
        check_url(url)
