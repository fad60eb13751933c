"""A gateway that is told to end while no other replica could answer goes on; one that has a peer ends as ever."""

import http.client
import json
import threading
import time

import pytest
from engine_double import engine_double
from gateway_here import QUESTION, gateway_here, until

from globe.gateway import alone, peers
from globe.gateway.alone import may_be_alone
from globe.gateway.settings import GatewaySettings

BODY = json.dumps(QUESTION)
JSON = {"Content-Type": "application/json"}
NOBODY = "nobody.invalid:8080"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(alone, "EVERY_S", 0.05)
    monkeypatch.setattr(alone, "FOLLOWS_S", 0.5)
    monkeypatch.setattr(peers, "REMEMBERED_S", 0.0)


@pytest.fixture
def named(monkeypatch):
    """Hosts that the peers' name stands for; a test may change them."""
    hosts: list[str] = []

    async def looked_up(_):
        return [f"http://{host}" for host in hosts]

    monkeypatch.setattr(peers.Peers, "_looked_up", looked_up)
    return hosts


def ask(connection):
    """Status, and what is said of the connection."""
    connection.request("POST", "/v1/chat/completions", BODY, JSON)
    reply = connection.getresponse()
    reply.read()
    return reply.status, reply.headers["Connection"]


def test_it_stays_ready_and_keeps_connections_until_a_peer_is_ready_and_then_drains(named):
    settings = {"peers": NOBODY, "drain_s": 1.5, "alone_s": 60}
    with engine_double() as engine, gateway_here(engine_url=engine.url, **settings) as gateway:
        kept = http.client.HTTPConnection("127.0.0.1", gateway.port)
        assert ask(kept) == (200, None)
        gateway.signal()
        ends_s = time.monotonic() + 2.5  # longer than a drain
        while time.monotonic() < ends_s:
            assert ask(kept) == (200, None)
            assert gateway.get("/ready").status == 200
        assert gateway.get("/health").headers["connection"] == "close"  # which tells the engine's container that it ends
        named.append("127.0.0.1:1")
        until(lambda: gateway.get("/ready").status == 503)
        assert ask(kept) == (200, "close")
        assert gateway.ended.wait(30)


def test_with_a_peer_it_asks_its_clients_to_connect_anew_at_once(named):
    named.append("127.0.0.1:1")
    settings = {"peers": NOBODY, "drain_s": 4, "alone_s": 60}
    with engine_double() as engine, gateway_here(engine_url=engine.url, **settings) as gateway:
        gateway.signal()
        until(lambda: gateway.get("/ready").status == 503)
        assert gateway.ask().headers["connection"] == "close"
        assert gateway.ended.wait(30)


def test_nobody_asks_so_it_ends_as_soon_as_one_that_drains(named):
    settings = {"peers": NOBODY, "drain_s": 0.5, "alone_s": 60}
    with engine_double() as engine, gateway_here(engine_url=engine.url, **settings) as gateway:
        time.sleep(0.6)
        gateway.signal()
        assert gateway.ended.wait(30)


def test_it_goes_on_no_longer_than_it_is_allowed_to_and_ends_an_answer_that_is_under_way(named):
    settings = {"peers": NOBODY, "drain_s": 0.2, "alone_s": 1}
    with engine_double(always="slow") as engine, gateway_here(engine_url=engine.url, **settings) as gateway:
        statuses, over = [], threading.Event()

        def go_on():
            while not over.is_set():
                try:
                    statuses.append(gateway.ask().status)
                except OSError:
                    over.set()

        asking = threading.Thread(target=go_on)
        asking.start()
        until(lambda: engine.bodies)
        gateway.signal()
        assert gateway.ended.wait(60)
        asking.join(60)
    assert statuses
    assert set(statuses) == {200}


def test_an_engine_that_is_gone_keeps_nobody_and_until_then_clients_get_503_and_keep_their_connections(named):
    settings = {"peers": NOBODY, "drain_s": 1.5, "alone_s": 60}
    with engine_double() as engine, gateway_here(engine_url=engine.url, **settings) as gateway:
        kept = http.client.HTTPConnection("127.0.0.1", gateway.port)
        engine.healthy, engine.always = False, "ending"
        until(lambda: gateway.get("/ready").status == 503)
        gateway.signal()
        assert ask(kept) == (503, None)
        assert gateway.ended.wait(30)


def test_who_has_no_peers_by_its_settings_never_is():
    assert may_be_alone(GatewaySettings(peers=NOBODY))
    assert not may_be_alone(GatewaySettings())
    assert not may_be_alone(GatewaySettings(peers=NOBODY, alone_s=0))
