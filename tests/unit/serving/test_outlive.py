"""An engine ends after the gateway beside it, and does not wait for one that goes on."""

import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from globe.serving.outlive import is_ending, is_open, main, wait


class Gateway:
    """What an engine sees of the gateway: two ports, and whether answers end their connection."""

    def __init__(self):
        self.draining = False
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                if gateway.draining:
                    self.send_header("Connection", "close")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.port, self.metrics_port = (server.server_port for server in self.servers)
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self, *servers):
        for server in servers or self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def gateway():
    one = Gateway()
    yield one
    one.close()


def later(delay_s, action):
    threading.Timer(delay_s, action).start()


def test_it_waits_through_the_drain_and_until_the_last_request_has_been_answered(gateway):
    port, metrics = gateway.servers
    later(0.1, lambda: setattr(gateway, "draining", True))
    later(0.5, lambda: gateway.close(port))  # the gateway takes nothing more, but has something under way
    later(1.0, lambda: gateway.close(metrics))  # its process is gone
    started = time.monotonic()
    assert wait(gateway.port, gateway.metrics_port, 100, notice_s=100)
    assert 0.9 < time.monotonic() - started < 50


def test_it_does_not_hold_up_an_engine_that_is_to_start_again_beside_a_gateway_that_goes_on(gateway):
    started = time.monotonic()
    assert not wait(gateway.port, gateway.metrics_port, 100, notice_s=0.4)
    assert 0.4 < time.monotonic() - started < 50


def test_it_waits_no_longer_than_it_is_told(gateway):
    gateway.draining = True
    started = time.monotonic()
    assert not wait(gateway.port, gateway.metrics_port, 0.8, notice_s=100)
    assert 0.8 < time.monotonic() - started < 50


def test_it_returns_at_once_where_no_gateway_is_left(gateway):
    gateway.close()
    started = time.monotonic()
    assert wait(gateway.port, gateway.metrics_port, 100, notice_s=100)
    assert time.monotonic() - started < 50


def test_only_an_answer_that_ends_its_connection_means_that_a_gateway_is_about_to_end(gateway):
    assert is_open(gateway.port)
    assert not is_ending(gateway.port)
    gateway.draining = True
    assert is_ending(gateway.port)
    gateway.close()
    assert not is_open(gateway.port)
    assert is_ending(gateway.port)


def test_the_command_takes_both_ports_and_a_limit(gateway, capsys):
    gateway.close()
    assert main([str(gateway.port), str(gateway.metrics_port), "5"]) == 0
    assert main(["8080"]) == 2
    assert "usage: python -m globe.serving.outlive" in capsys.readouterr().err


@pytest.mark.parametrize("peers", ["", "nobody.invalid:8080"])
def test_it_outlives_the_real_gateways_drain_and_is_not_held_up_by_one_that_goes_on(peers):
    port, metrics_port, closed = (free_port() for _ in range(3))
    told = {
        "PORT": port,
        "METRICS_PORT": metrics_port,
        "ENGINE_URL": f"http://127.0.0.1:{closed}",
        "PEERS": peers,
        "DRAIN_S": 1.5,
        "SHUTDOWN_S": 5,
    }
    environment = os.environ | {f"GLOBE_GATEWAY_{name}": str(value) for name, value in told.items()}
    gateway = subprocess.Popen([sys.executable, "-m", "globe.gateway"], env=environment, stderr=subprocess.DEVNULL)
    try:
        until_open(port)
        assert not is_ending(port)
        assert not wait(port, metrics_port, 100, notice_s=0.5)
        gateway.terminate()
        started = time.monotonic()
        assert wait(port, metrics_port, 100, notice_s=100)
        assert time.monotonic() - started > 1
        gateway.wait(timeout=60)  # its port for metrics lives as long as it
    finally:
        gateway.kill()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until_open(port):
    deadline = time.monotonic() + 60
    while not is_open(port):
        assert time.monotonic() < deadline
        time.sleep(0.1)
