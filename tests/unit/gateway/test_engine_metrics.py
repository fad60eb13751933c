"""vLLM's metrics are passed on as they are, and never keep the gateway's own from being told."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from globe.gateway.engine_metrics import EngineMetrics

KEY = {"Authorization": "Bearer key"}


@pytest.fixture
def engine():
    """An engine's metrics as prometheus_client writes them, which vLLM uses too; told to whoever has the key."""
    registry = CollectorRegistry()
    Gauge("vllm:num_requests_running", "run", ["model_name"], registry=registry).labels("globe").set(3)
    Counter("vllm:request_success", "done", ["finished_reason"], registry=registry).labels("stop").inc(7)
    Histogram("vllm:time_to_first_token_seconds", "first", buckets=(0.1, 1), registry=registry).observe(0.5)
    Gauge("process_open_fds", "not the model's", registry=registry).set(99)

    class Handler(BaseHTTPRequestHandler):
        text = generate_latest(registry)

        def do_GET(self):
            allowed = self.path == "/metrics" and self.headers["Authorization"] == "Bearer key"
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(self.text if allowed else b"{}")

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    server.url, server.handler = f"http://127.0.0.1:{server.server_port}", Handler
    yield server
    server.shutdown()
    server.server_close()


def told(url, headers=KEY):
    """What a gateway with one figure of its own tells Prometheus."""
    registry = CollectorRegistry()
    Gauge("globe_gateway_ready", "ready", registry=registry).set(1)
    registry.register(EngineMetrics(url, headers))
    return {line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")}


def test_every_figure_of_the_engine_is_told_as_it_tells_it_and_none_of_its_process(engine):
    theirs = {line for line in engine.handler.text.decode().splitlines() if line.startswith("vllm:")}
    assert len(theirs) == 9
    assert told(engine.url) == theirs | {"globe_gateway_ready 1.0"}


def test_the_figures_are_those_of_the_moment(engine):
    before = told(engine.url)
    engine.handler.text = re.sub(rb"(vllm:num_requests_running\{.*\}) 3\.0", rb"\1 4.0", engine.handler.text)
    assert told(engine.url) - before == {'vllm:num_requests_running{model_name="globe"} 4.0'}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer another"}])
def test_an_engine_that_refuses_leaves_the_gateways_own(engine, headers):
    assert told(engine.url, headers) == {"globe_gateway_ready 1.0"}


def test_an_engine_that_is_down_or_talks_nonsense_leaves_the_gateways_own(engine):
    engine.handler.text = b"vllm:num_requests_running{ \xff not metrics"
    assert told(engine.url) == {"globe_gateway_ready 1.0"}
    engine.shutdown()
    engine.server_close()
    assert told(engine.url) == {"globe_gateway_ready 1.0"}


def test_no_proxy_of_the_environment_is_asked(engine, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert len(told(engine.url)) == 10
