"""A server that plays vLLM for the gateway's tests: its routes, its documents and its streams over real HTTP, with answers that a
test writes. It is no engine: what a real one does is tried by tests/integration/test_gateway.py.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from local_server import JsonHandler, http_server

from globe.answer.render import render
from globe.gateway.app import create_app
from globe.gateway.settings import GatewaySettings

PROBE_TOKENS = 8
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
PARIS = render("Tall stone buildings line the street.", "France", "Paris")


class ScriptedVllm:
    """What it answers, and what it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] = [PARIS]
        """The answer to each seed in turn, starting again after the last."""
        self.failing: dict[int, int] = {}
        """HTTP status of the requests with these seeds, instead of an answer."""
        self.finish_reason = "stop"
        self.cut = False
        """Whether streams end just before they say so."""
        self.probability = 0.9
        """Of each token."""
        self.pause_s = 0.0
        """Before each piece of a stream, and before each whole answer."""
        self.asked: list[dict[str, Any]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.url = ""
        self._lock = threading.Lock()

    def text(self, seed: int) -> str:
        return self.texts[seed % len(self.texts)]

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= 1


def _tokens(text: str) -> list[str]:
    return re.findall(r"<[^<>]*>|\s?[^\s<]+|\s", text)


def _logprobs(tokens: list[str], probability: float) -> dict[str, Any]:
    import math

    return {"content": [{"token": t, "logprob": math.log(probability), "bytes": None, "top_logprobs": []} for t in tokens]}


@contextmanager
def scripted_vllm() -> Iterator[ScriptedVllm]:
    """The server, while a `with` block lasts."""
    script = ScriptedVllm()

    class Handler(JsonHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self.send(200, {"object": "list", "data": [{"id": "globe", "object": "model", "max_model_len": 4096}]})
            else:
                self.send(200 if self.path == "/health" else 404, {})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if asked["max_tokens"] == PROBE_TOKENS:  # the gateway's own question
                self.send(200, _completion("ok", script))
                return
            seed = asked.get("seed", 0)
            script.asked.append(asked)
            with script.counted():
                if seed in script.failing:
                    time.sleep(script.pause_s)
                    self.send(script.failing[seed], {"error": {"message": "scripted", "code": script.failing[seed]}})
                elif asked.get("stream"):
                    self._stream(script.text(seed))
                else:
                    time.sleep(script.pause_s)
                    self.send(200, _completion(script.text(seed), script))

        def _stream(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            tokens = _tokens(text)
            for at, token in enumerate([*tokens, ""]):
                time.sleep(script.pause_s)
                over = at == len(tokens)
                choice = {"index": 0, "delta": {"content": token}, "finish_reason": script.finish_reason if over else None}
                choice["logprobs"] = None if over else _logprobs([token], script.probability)
                piece = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "globe", "choices": [choice]}
                self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                self.wfile.flush()
            last = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "globe", "choices": [], "usage": USAGE}
            self.wfile.write(f"data: {json.dumps(last)}\n\n".encode())
            if not script.cut:
                self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

    with http_server(Handler) as url:
        script.url = url
        yield script


def _completion(text: str, script: ScriptedVllm) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": script.finish_reason}
    choice["logprobs"] = _logprobs(_tokens(text), script.probability)
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "globe", "choices": [choice], "usage": USAGE}


@contextmanager
def gateway(script: ScriptedVllm, **settings: Any) -> Iterator[str]:
    """The real gateway before it, on a port of its own, while a `with` block lasts; gives its URL."""
    app = create_app(GatewaySettings(engine_url=script.url, **settings))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the gateway did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
