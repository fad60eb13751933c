"""How a gateway's process ends: in order, so that no request is lost."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from engine_double import engine_double
from gateway_here import QUESTION, gateway_here, until

from globe.errors import InputError
from globe.gateway import server
from globe.gateway.drain import something_waits
from globe.gateway.server import bound
from globe.gateway.settings import GatewaySettings
from globe.serving.ports import claim_port

BODY = json.dumps(QUESTION)
JSON = {"Content-Type": "application/json"}


def test_a_gateway_that_drains_still_answers_and_asks_its_clients_to_connect_anew():
    with engine_double() as engine, gateway_here(engine_url=engine.url, drain_s=1.5) as gateway:
        kept = http.client.HTTPConnection("127.0.0.1", gateway.port)
        kept.request("POST", "/v1/chat/completions", BODY, JSON)
        reply = kept.getresponse()
        assert (reply.status, reply.headers["Connection"]) == (200, None)
        reply.read()
        gateway.signal()
        assert (gateway.get("/ready").status, gateway.get("/health").status, gateway.get("/live").status) == (503, 200, 200)
        kept.request("POST", "/v1/chat/completions", BODY, JSON)
        reply = kept.getresponse()
        assert (reply.status, reply.headers["Connection"]) == (200, "close")
        assert gateway.ask().status == 200
        assert gateway.ended.wait(60)
        with pytest.raises(ConnectionRefusedError):
            gateway.get("/health")


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_in_flight_when_the_port_closes_ends_whole(stream):
    with engine_double(always="slow") as engine, gateway_here(engine_url=engine.url) as gateway:
        replies = []
        asking = threading.Thread(target=lambda: replies.append(gateway.ask(stream=stream)))
        asking.start()
        until(lambda: engine.bodies)
        gateway.signal()
        asking.join()
        assert replies[0].status == 200
        assert not stream or replies[0].events[-1] == "[DONE]"
        assert gateway.ended.wait(60)


@pytest.mark.parametrize("stream", [False, True])
def test_what_does_not_end_in_time_is_told_to_come_again(stream):
    with (
        engine_double(always="stalls" if stream else "hangs") as engine,
        gateway_here(engine_url=engine.url, shutdown_s=1) as gateway,
    ):
        replies = []
        asking = threading.Thread(target=lambda: replies.append(gateway.ask(stream=stream)))
        asking.start()
        until(lambda: engine.bodies)
        gateway.signal()
        asking.join(60)
        assert gateway.ended.wait(60)
    error = json.loads(replies[0].events[-1]) if stream else replies[0].json
    assert error["error"]["code"] == "shutting_down"
    assert stream or (replies[0].status, replies[0].headers["retry-after"]) == (503, "2")


def test_a_connection_that_has_just_been_made_may_still_bring_its_request():
    with (
        engine_double() as engine,
        gateway_here(engine_url=engine.url) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port)) as client,
    ):
        until(lambda: gateway.server.server_state.connections)
        gateway.signal()
        time.sleep(0.4)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_connection_that_is_accepted_in_the_very_last_moment_may_still_bring_its_request(monkeypatch):
    def last_moment(listener: socket.socket) -> bool:
        if not made:
            made.append(socket.create_connection(("127.0.0.1", gateway.port)))
        return something_waits(listener)

    made: list[socket.socket] = []
    monkeypatch.setattr(server, "take_no_more", lambda listener: True)
    monkeypatch.setattr(server, "something_waits", last_moment)
    with engine_double() as engine, gateway_here(engine_url=engine.url) as gateway:
        gateway.signal()
        until(lambda: made)
        until(lambda: not gateway.server.servers[0].is_serving())
        with made[0] as client:
            client.settimeout(60)
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_sigterm_or_ctrl_c_ends_it_at_once(number):
    with engine_double(always="hangs") as engine, gateway_here(engine_url=engine.url, drain_s=60, shutdown_s=60) as gateway:
        replies = []
        asking = threading.Thread(target=lambda: replies.append(gateway.ask()))
        asking.start()
        until(lambda: engine.bodies)
        gateway.signal()
        time.sleep(0.3)
        assert not gateway.ended.is_set()
        gateway.signal(number)
        assert gateway.ended.wait(30)
        asking.join()
    assert replies[0].status == 503


def test_a_taken_port_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^127\.0\.0\.1:{port}: cannot listen there \(Address already in use\)$"):
            bound(GatewaySettings(port=port))


def test_a_process_ends_with_0_after_sigterm_and_says_nothing_of_what_it_was_asked():
    (port, lock), (metrics, other_lock) = claim_port(), claim_port()
    with engine_double() as engine, lock, other_lock:
        settings = {"ENGINE_URL": engine.url, "PORT": str(port), "DRAIN_S": "0", "METRICS_PORT": str(metrics)}
        environment = os.environ | {f"GLOBE_GATEWAY_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "globe.gateway"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until(lambda: asked(port, "/ready") == 200, 60)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        question = json.dumps({"model": "globe", "messages": [{"role": "user", "content": "my secret"}]})
        connection.request("POST", "/v1/chat/completions", question, JSON | {"Authorization": "Bearer secret"})
        assert connection.getresponse().status == 200
        assert (asked(port, "/metrics"), asked(metrics, "/metrics")) == (404, 200)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert "secret" not in said
    assert "Traceback" not in said


def asked(port: int, path: str) -> int:
    """Status of an answer; 0 if nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
