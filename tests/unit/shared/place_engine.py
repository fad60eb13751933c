"""A server that plays vLLM with answers from a script, word by word over real HTTP, and a real gateway before it.

A small random model names no place; so the script says, in GLOBE's answer grammar, what a trained one would.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from local_server import JsonHandler, http_server
from model_folders import model, publish

from globe.answer.prompt import PROMPT, prompt_sha256
from globe.answer.render import render
from globe.evaluation.radius_file import write_radius
from globe.figures.radius import Group, Radius
from globe.gateway.app import create_app
from globe.gateway.settings import GatewaySettings
from globe.models.checkpoints import read_checkpoint

LISBON = render("The street is paved in waves.\nThe tram is yellow, so this is Lisbon rather than Porto.", "Portugal", "Lisbon")
PORTO = render("A bridge of iron.", "Portugal", "Porto")
SALVADOR = render("Colourful houses.", "Brazil", "Salvador")
AGREED_KM, DOUBTED_KM = 310.0, 2400.0
"""Radii of the checkpoint: of an answer that 3 of 5 or more agree with, and of the others."""


@dataclass
class Script:
    """What the engine says; it may be changed at any time."""

    texts: list[str] = field(default_factory=lambda: [LISBON, LISBON, PORTO, LISBON, SALVADOR])
    """The answers, by the seed of their request."""
    pause_s: float = 0.0
    """Before each word of a stream."""
    waits_after: str = ""
    """A stream stops after the word that holds this, until `goes_on` is set."""
    goes_on: threading.Event = field(default_factory=threading.Event)
    refusals: int = 0
    """So many further questions get 503."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    """Set when somebody has left in the middle of an answer."""
    url: str = ""

    def begin(self) -> None:
        """Forget what a test has changed."""
        self.__dict__.update(Script(url=self.url).__dict__)


@contextmanager
def place_engine() -> Iterator[Script]:
    """The engine, running."""
    script = Script()

    class Handler(JsonHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send(200, {"data": [{"id": "globe", "max_model_len": 8192}]} if "models" in self.path else {})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["X-Request-Id"] != "watch":
                script.asked.append(asked)
                if script.refusals > 0:
                    script.refusals -= 1
                    return self.send(503, {"error": {"message": "full"}})
            text = script.texts[asked.get("seed", 0) % len(script.texts)]
            if asked.get("stream"):
                return self.stream(text, asked["model"])
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": None}
            return self.send(200, {"id": "1", "object": "chat.completion", "model": asked["model"], "choices": [choice]})

        def stream(self, text: str, name: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            words = text.split(" ")
            pieces = [word + " " * (at + 1 < len(words)) for at, word in enumerate(words)]
            try:
                for piece in pieces if script.pause_s else [text]:
                    self.event({"delta": {"content": piece}, "finish_reason": None}, name)
                    time.sleep(script.pause_s)
                    if script.waits_after and script.waits_after in piece:
                        script.goes_on.wait(300)
                self.event({"delta": {"content": ""}, "finish_reason": "stop"}, name)
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                script.left.set()

        def event(self, choice: dict[str, Any], name: str) -> None:
            chunk = {"id": "1", "object": "chat.completion.chunk", "model": name}
            chunk["choices"] = [{"index": 0, "logprobs": None} | choice]
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()

    with http_server(Handler) as url:
        script.url = url
        yield script


def checkpoint_with_radius(folder: Path) -> Path:
    """A checkpoint whose radius was calibrated for the question that a gateway asks five times."""
    publish(model(folder))
    groups = [
        Group(level="any", up_to=0.5, n=100, radius_km=DOUBTED_KM),
        Group(level="any", up_to=1.0, n=100, radius_km=AGREED_KM),
    ]
    digest = read_checkpoint(folder).digest
    question = {"model_digest": digest, "prompt_sha256": prompt_sha256(PROMPT), "temperature": 0.7, "samples": 5}
    write_radius(Radius(level_percent=90.0, by="agreement", question=question, groups=groups, measured={}), folder)
    return folder


@contextmanager
def running_gateway(port: int = 0, **settings: Any) -> Iterator[str]:
    """A real gateway, on a port of its own unless one is given; gives http://127.0.0.1:PORT/."""
    app = create_app(GatewaySettings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the gateway has ended"
            assert time.monotonic() < until, "the gateway does not start"
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(60)
