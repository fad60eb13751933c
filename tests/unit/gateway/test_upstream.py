"""What becomes of a request when its engine cannot answer: with other replicas, and without."""

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from engine_double import DIGEST, WORDS, engine_double
from gateway_here import QUESTION, gateway_here, until

from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings
from globe.gateway.upstream import Upstream

CLOSED = "http://127.0.0.1:9"
"""Nobody listens there."""
STALL_S = 20.0


@pytest.fixture
def other():
    """Another replica, with an engine of its own."""
    with engine_double() as engine, gateway_here(engine_url=engine.url) as gateway:
        gateway.engine = engine
        yield gateway


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["ending", "bad gateway", "full", "another key", "page", "dropped"])
def test_another_replica_answers_what_this_ones_engine_does_not(other, fault, stream):
    with (
        engine_double(always=fault) as engine,
        gateway_here(engine_url=engine.url, peers=f"127.0.0.1:{other.port}") as gateway,
    ):
        reply = gateway.ask(stream=stream, headers={"Authorization": "Bearer mine", "X-Request-Id": "seen-1"})
    assert reply.status == 200
    assert other.engine.bodies[0]["messages"] == QUESTION["messages"]
    assert other.engine.headers[0]["x-request-id"] == reply.headers["x-request-id"] == "seen-1"
    assert "authorization" not in other.engine.headers[0]


@pytest.mark.parametrize("fault", ["aborted", "error", "too few", "half"])
def test_an_answer_that_is_not_whole_is_asked_for_elsewhere(other, fault):
    with (
        engine_double(always=fault) as engine,
        gateway_here(engine_url=engine.url, peers=f"127.0.0.1:{other.port}") as gateway,
    ):
        reply = gateway.ask(n=2)
    assert [choice["finish_reason"] for choice in reply.json["choices"]] == ["stop", "stop"]
    assert len(other.engine.bodies) == 1


def test_an_engine_that_is_gone_costs_no_request_where_there_is_another_replica(other):
    with (
        gateway_here(ready=False, engine_url=CLOSED, peers=f"127.0.0.1:{other.port}") as gateway,
        ThreadPoolExecutor(20) as pool,
    ):
        replies = list(pool.map(lambda _: gateway.ask(), range(100)))
    assert {reply.status for reply in replies} == {200}


@pytest.mark.parametrize("fault", ["too long", "not taken", "no such model"])
def test_what_is_wrong_with_the_request_itself_is_asked_once(other, fault):
    with (
        engine_double(always=fault) as engine,
        gateway_here(engine_url=engine.url, peers=f"127.0.0.1:{other.port}") as gateway,
    ):
        assert gateway.ask().status in (400, 404)
    assert (len(engine.bodies), len(other.engine.bodies)) == (1, 0)


def test_a_request_goes_to_another_replica_once_and_no_further():
    with (
        gateway_here(ready=False, engine_url=CLOSED) as second,
        gateway_here(ready=False, engine_url=CLOSED, peers=f"127.0.0.1:{second.port}") as first,
    ):
        assert first.ask().status == 503
        assert first.ask(headers={"X-Globe-Hop": "1"}).status == 503
    assert counted(first, "engine") == 2
    assert counted(first, "peer") == 1
    assert counted(second, "engine") == 1


def counted(here, place: str) -> float:
    """Answers that did not come from a kind of place."""
    return here.gateway.metrics.registry.get_sample_value("globe_gateway_upstream_failures_total", {"place": place})


def test_what_another_replica_finds_wrong_is_told_in_its_own_words(other):
    other.engine.always = "too long"
    with gateway_here(ready=False, engine_url=CLOSED, peers=f"127.0.0.1:{other.port}") as gateway:
        reply = gateway.ask()
    assert (reply.status, reply.code) == (400, "context_length_exceeded")


def test_with_the_engines_key_a_replica_takes_a_request_as_another_has_checked_it(monkeypatch):
    monkeypatch.setenv("GLOBE_SERVER_KEY", "k" * 64)
    with engine_double() as engine, gateway_here(engine_url=engine.url, max_precision="country") as other:
        upstream = Upstream(GatewaySettings(engine_url=CLOSED, peers=f"127.0.0.1:{other.port}"))
        answer = asyncio.run(asked(upstream, QUESTION | {"n": 3}))
        assert len(answer["choices"]) == 3
        assert answer.digest == DIGEST
        assert engine.headers[0]["authorization"] == "Bearer " + "k" * 64
        for proof in ("", "0" * 64):
            reply = other.ask(headers={"X-Globe-Hop": "1", "X-Globe-Hop-Proof": proof})
            assert (reply.status, reply.code) == (403, "precision_is_limited")


async def asked(upstream: Upstream, question: dict) -> dict:
    try:
        return await upstream.complete(question)
    finally:
        await upstream.close()


def test_without_the_engines_key_nobody_can_prove_anything():
    upstream = Upstream(GatewaySettings())
    assert not any(upstream.came_from_a_gateway(b"{}", proof) for proof in (None, "", "0" * 64))


def test_an_engine_that_has_hung_is_not_asked_while_there_are_other_replicas(other):
    with engine_double() as engine, gateway_here(engine_url=engine.url, peers=f"127.0.0.1:{other.port}") as gateway:
        gateway.gateway.status.hung = True
        assert gateway.ask().status == 200
    assert (len(engine.bodies), len(other.engine.bodies)) == (0, 1)


def test_a_stream_that_has_begun_is_not_begun_again_elsewhere(other):
    with (
        engine_double(always="half") as engine,
        gateway_here(engine_url=engine.url, peers=f"127.0.0.1:{other.port}") as gateway,
    ):
        reply = gateway.ask(stream=True)
    *pieces, last = map(json.loads, reply.events)
    assert [piece["choices"][0]["finish_reason"] for piece in pieces] == [None]
    assert last["error"]["code"] == "broken_off"
    assert other.engine.bodies == []


def test_a_closed_port_is_told_at_once():
    with gateway_here(ready=False, engine_url=CLOSED, connect_timeout_s=100, answer_timeout_s=100) as gateway:
        began_s = time.monotonic()
        reply = gateway.ask()
        assert time.monotonic() - began_s < 50
    assert (reply.status, reply.code) == (503, "unavailable")


def test_a_host_that_takes_no_connection_is_given_up_after_the_settings_time():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        held = [socket.socket() for _ in range(3)]
        for client in held:
            client.setblocking(False)
            client.connect_ex(address)
        with gateway_here(ready=False, engine_url=f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.3) as gateway:
            began_s = time.monotonic()
            assert gateway.ask().status == 503
            assert time.monotonic() - began_s < 50  # the kernel would go on for two minutes
        for client in held:
            client.close()


def test_an_engine_that_closes_all_kept_connections_when_they_are_used_again_costs_no_request():
    with engine_double(always="slow") as engine, gateway_here(engine_url=engine.url) as gateway, ThreadPoolExecutor(4) as pool:
        engine.drops_kept = True
        assert [reply.status for reply in pool.map(lambda _: gateway.ask(), range(4))] == [200] * 4
        assert gateway.ask().status == 200
        assert counted(gateway, "engine") is None


@pytest.mark.parametrize(("stalls", "told"), [(1, 200), (2, 503)])
def test_a_process_that_stood_still_while_it_connected_to_its_engine_asks_again_once(stalls, told):
    async def asked_by_one_that_stands_still() -> int:
        loop, stood_s, left = asyncio.get_running_loop(), [0.0], [STALL_S] * stalls
        connect, clock = loop.sock_connect, loop.time

        async def sock_connect(*given: object) -> None:
            if left:
                loop.call_soon(stood_s.append, left.pop())  # the clock has gone on when the process does
            await connect(*given)

        loop.sock_connect, loop.time = sock_connect, lambda: clock() + sum(stood_s)
        try:
            await asked(Upstream(GatewaySettings(engine_url=engine.url, connect_timeout_s=STALL_S / 2)), QUESTION)
        except Refused as refused:
            return refused.status
        return 200

    with engine_double() as engine:
        assert asyncio.run(asked_by_one_that_stands_still()) == told
    assert len(engine.bodies) == (told == 200)


def test_an_engine_that_comes_back_is_asked_again(monkeypatch):
    with engine_double(always="ending") as engine, gateway_here(engine_url=engine.url) as gateway:
        assert gateway.ask().status == 503
        engine.always = "whole"
        assert gateway.ask().status == 200


def test_when_it_is_given_up_every_open_question_ends_with_503():
    async def given_up() -> list[Refused]:
        upstream = Upstream(GatewaySettings(engine_url=engine.url))
        stream = upstream.stream(QUESTION | {"stream": True})
        begun = [(await anext(stream))["choices"][0]["delta"]["content"] for _ in WORDS]
        assert begun == [*WORDS]
        open_questions = [asyncio.ensure_future(upstream.complete(QUESTION)), asyncio.ensure_future(anext(stream))]
        await asyncio.sleep(0.3)
        upstream.give_up()
        ended = await asyncio.gather(*open_questions, return_exceptions=True)
        with pytest.raises(Refused, match="shutting down"):
            await upstream.complete(QUESTION)
        await stream.aclose()
        await upstream.close()
        return ended

    with engine_double("stalls", always="hangs") as engine:
        ended = asyncio.run(given_up())
    assert [(refused.status, refused.code) for refused in ended] == 2 * [(503, "shutting_down")]
    assert all(refused.retry_after_s for refused in ended)


def test_a_stream_that_is_closed_leaves_the_engine():
    async def begun_and_closed() -> None:
        upstream = Upstream(GatewaySettings(engine_url=engine.url))
        stream = upstream.stream(QUESTION | {"stream": True})
        await anext(stream)
        await stream.aclose()
        await upstream.close()

    with engine_double("stalls") as engine:
        asyncio.run(begun_and_closed())
        until(engine.left.is_set)
