"""What every answer has, whatever its route and however it ends."""

import re
import threading

import pytest
from engine_double import DIGEST, engine_double
from gateway_here import gateway_here, until


@pytest.fixture(scope="module")
def engine():
    with engine_double() as engine:
        yield engine


@pytest.fixture(scope="module")
def gateway(engine):
    with gateway_here(engine_url=engine.url, max_concurrent=2) as gateway:
        yield gateway


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/openapi.json", "/nothing", "/v1/chat/completions"])
def test_every_answer_says_its_id_and_the_model(gateway, path):
    reply = gateway.get(path)
    assert re.fullmatch(r"[0-9a-f]{32}", reply.headers["x-request-id"])
    assert reply.headers["x-globe-model"] == DIGEST
    assert (reply.headers["x-content-type-options"], reply.headers["cache-control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/invocations", "/tokenize", "/version", "/v1/completions", "//ready"])
def test_there_is_nothing_else(gateway, path):
    for method in ("GET", "POST"):
        reply = gateway.get(path, method)
        assert (reply.status, reply.code) == (404, "not_found")


def test_another_method_is_405_and_says_which_there_is(gateway):
    reply = gateway.get("/v1/chat/completions")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_more_requests_than_may_be_answered_at_once_are_told_to_come_again(gateway, engine):
    engine.plan += ["held", "held"]
    engine.bodies.clear()
    first = [threading.Thread(target=gateway.ask) for _ in range(2)]
    for thread in first:
        thread.start()
    until(lambda: len(engine.bodies) == 2)
    reply = gateway.ask()
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "overloaded", "1")
    assert gateway.get("/ready").status == 200
    engine.go_on.set()
    for thread in first:
        thread.join()
    assert gateway.ask().status == 200


def test_a_mistake_of_ours_is_500_and_neither_told_nor_logged_with_its_text(gateway, monkeypatch, caplog):
    def fails(*_: object) -> None:
        raise RuntimeError("my secret")

    monkeypatch.setattr(type(gateway.gateway.keys), "client", fails)
    reply = gateway.ask(headers={"X-Request-Id": "mine"})
    assert (reply.status, reply.code, reply.headers["x-request-id"]) == (500, "internal", "mine")
    assert b"secret" not in reply.body
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert re.fullmatch(rf"mine: RuntimeError at {re.escape(__file__)}:\d+", line)


@pytest.mark.parametrize("told", ["a b", "x" * 65, "\u00e9", "a\tb", ""])
def test_an_id_that_is_no_plain_word_is_replaced(gateway, told):
    reply = gateway.get("/health", X_Request_Id=told)
    assert re.fullmatch(r"[0-9a-f]{32}", reply.headers["x-request-id"])
