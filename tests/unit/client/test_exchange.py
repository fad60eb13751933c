"""Where requests and keys go, and how streams are read, however they are cut."""

import json

import pytest
from cli_inputs import picture

from globe.client import Globe, Located, Progress, Reasoning
from globe.client.exchange import Exchange, Reader, gateway_root, is_gateway
from globe.errors import InputError


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", "http://h:1/locate"])
def test_a_gateways_address_is_known_in_any_form(url):
    assert gateway_root(url) == "http://h:1"


@pytest.mark.parametrize("url", ["h:1", "ftp://h", "http://", "http://h:99999", "http://a b", "http://\x1bh"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InputError, match="not an http"):
        gateway_root(url)


@pytest.mark.parametrize("url", ["http://h?key=secret", "http://h#secret"])
def test_what_stands_behind_an_address_is_refused_and_not_repeated(url):
    with pytest.raises(InputError, match="GLOBE_API_KEY") as refused:
        gateway_root(url)
    assert "secret" not in str(refused.value)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(InputError) as refused:
        gateway_root("http://me:secret@h")
    assert "secret" not in str(refused.value)


def test_a_key_goes_to_this_machine_and_from_the_environment_too(scripted, answer, monkeypatch):
    scripted.answer(answer)
    monkeypatch.setenv("GLOBE_API_KEY", "from-the-environment")
    for given in ("given", ""):
        with Globe(scripted.url, key=given) as globe:
            globe.locate(picture())
    assert [headers["authorization"] for _, headers, _ in scripted.asked] == ["Bearer given", "Bearer from-the-environment"]


def test_a_key_never_goes_in_the_clear_to_strangers(monkeypatch, capsys):
    with pytest.raises(InputError, match="could read it"):
        Exchange("http://example.org", "secret", 1.0)
    monkeypatch.setenv("GLOBE_API_KEY", "secret")
    assert Exchange("http://example.org", "", 1.0).settings["headers"] == {}
    assert Exchange("https://example.org", "", 1.0).settings["headers"] == {"Authorization": "Bearer secret"}
    monkeypatch.setenv("GLOBE_API_HOSTS", "other.example.org")
    assert Exchange("https://example.org", "", 1.0).settings["headers"] == {}


def test_a_key_that_no_request_can_carry_is_refused():
    with pytest.raises(InputError, match="characters"):
        Exchange("https://example.org", "a\nb", 1.0)


def test_only_a_gateway_is_taken_for_one(url, scripted, model):
    assert (is_gateway(url), is_gateway(f"{url}/v1")) == (True, True)
    assert (is_gateway(model.url), is_gateway("http://127.0.0.1:9/v1")) == (False, False)
    model.page = (200, "application/json", '{"paths": null}')
    assert not is_gateway(model.url)


def test_a_stream_reads_the_same_however_it_is_cut(answer):
    text = (
        ': waiting\n\nevent: reasoning\ndata: {"text": "a\\n\\nb é"}\n\nevent: progress\r\ndata: {"answered": 1, "n": 2}\r\n\r\n'
        f"event: news\ndata: {{}}\n\nevent: answer\ndata: {json.dumps(answer)}\n\nevent: answer\ndata: {{}}\n\n"
    ).encode()
    for size in (1, 2, 7, len(text)):
        reader = Reader(Exchange("http://127.0.0.1:1", "", 1.0), "text/event-stream; charset=utf-8")
        events = [event for at in range(0, len(text), size) for event in reader.feed(text[at : at + size])]
        events += list(reader.finish())
        assert events[:2] == [Reasoning("a\n\nb é"), Progress(1, 2)]
        assert [type(event) for event in events] == [Reasoning, Progress, Located]
