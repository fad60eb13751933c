"""What statuses of an engine, and of another replica's gateway, mean to a client."""

import json

import pytest

from globe.errors import InputError
from globe.gateway.engine import Elsewhere, EngineKey, refusal
from globe.gateway.refused import Refused

LEAK = b"EngineCore at /usr/lib/vllm: secret prompt"


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [
        (400, b"maximum context length is 512", (400, "context_length_exceeded")),
        (400, b"max_tokens is too large", (400, "context_length_exceeded")),
        (400, b"Grammar error", (400, "bad_schema")),
        (400, b"Failed to apply the processor", (400, "not_possible")),
        (422, b"", (400, "not_possible")),
        (413, b"", (400, "not_possible")),
        (404, b"The model does not exist", (404, "model_not_found")),
    ],
)
def test_a_request_that_the_engine_finds_wrong_is_refused_in_our_words(status, text, told):
    found = refusal(status, {}, text + LEAK, own=True)
    assert (found.status, found.code) == told
    assert not any(word in str(found) for word in ("vllm", "EngineCore", "secret"))


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("status", "busy"), [(500, False), (502, False), (503, True), (401, False), (302, False), (418, False)])
def test_everything_else_may_be_answered_elsewhere(status, busy, own):
    found = refusal(status, {}, LEAK, own=own)
    assert isinstance(found, Elsewhere)
    assert found.busy == busy
    assert "secret" not in str(found)


def test_what_another_gateway_refuses_is_told_as_it_stands():
    asked = Refused(429, "over the limit", "rate_limited", retry_after_s=7)
    found = refusal(429, asked.headers, json.dumps(asked.body).encode(), own=False)
    assert (found.status, found.message, found.code, found.retry_after_s) == (429, "over the limit", "rate_limited", 7)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"message": "x"}}', b"[" * 10**5])
def test_what_is_no_gateway_is_not_believed(body):
    assert isinstance(refusal(400, {}, body, own=False), Elsewhere)


def test_only_who_has_the_key_can_prove_that_a_body_is_a_gateways(monkeypatch, tmp_path):
    monkeypatch.setenv("GLOBE_SERVER_KEY", "a" * 64)
    key = EngineKey()
    assert key.header == {"Authorization": "Bearer " + "a" * 64}
    proof = key.proof(b"body")
    assert key.proves(b"body", proof)
    assert not any(key.proves(*given) for given in [(b"bodx", proof), (b"body", proof[:-1]), (b"body", None), (b"body", "é")])
    (tmp_path / "key").write_text("b" * 64 + "\n")
    monkeypatch.setenv("GLOBE_SERVER_KEY_FILE", str(tmp_path / "key"))
    assert not EngineKey().proves(b"body", proof)


def test_without_a_key_nothing_is_sent_and_nothing_proven(monkeypatch):
    monkeypatch.delenv("GLOBE_SERVER_KEY", raising=False)
    key = EngineKey()
    assert (key.header, key.proof(b""), key.proves(b"", "")) == ({}, "", False)


def test_a_key_file_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv("GLOBE_SERVER_KEY_FILE", "/nowhere/key")
    with pytest.raises(InputError, match="/nowhere/key"):
        EngineKey()
