"""A gateway in this process, over real HTTP, and a client that shows what came."""

import asyncio
import base64
import http.client
import io
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from globe.gateway.app import create_app
from globe.gateway.server import Server, bound
from globe.gateway.settings import GatewaySettings
from globe.gateway.state import Gateway

TURN = [{"role": "user", "content": "Where?"}]
QUESTION = {"model": "globe", "messages": TURN}


@dataclass
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of a stream's events."""
        return [event.removeprefix("data: ") for event in self.body.decode().split("\n\n") if event]

    @property
    def code(self) -> str:
        return self.json["error"]["code"]


@dataclass
class Here:
    """The running gateway."""

    url: str
    port: int
    gateway: Gateway
    server: Server
    ended: threading.Event = field(default_factory=threading.Event)
    engine: Any = None
    """The engine behind it, where a test keeps it here."""

    def get(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Reply:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return Reply(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.read())

    def ask(self, question: object = QUESTION, /, headers: Mapping[str, str] | None = None, **more: object) -> Reply:
        """Ask /v1/chat/completions."""
        body = json.dumps(question | more if isinstance(question, dict) else question).encode()
        return self.get("/v1/chat/completions", "POST", body, **{"Content-Type": "application/json", **(headers or {})})

    def signal(self, number: int = signal.SIGTERM) -> None:
        """What a signal to its process does."""
        self.server.handle_exit(number, None)


@contextmanager
def gateway_here(*, ready: bool = True, **settings: object) -> Iterator[Here]:
    """A gateway, running; by default one that is ready.

    Args:
        ready: Wait until it is.
        settings: Its settings.
    """
    given = GatewaySettings.model_validate({"port": 0, "drain_s": 0, "shutdown_s": 5, "tokens_per_minute": 10**9} | settings)
    app = create_app(given)
    listener = bound(given)
    port = listener.getsockname()[1]
    here = Here(f"http://127.0.0.1:{port}", port, app.state.gateway, Server(app, given))

    def run() -> None:
        asyncio.run(here.server.serve(sockets=[listener]))
        here.ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        until(lambda: here.server.started)
        if ready:
            until(lambda: here.gateway.status.ready)
        yield here
    finally:
        here.signal(signal.SIGINT)
        thread.join(60)
        assert here.ended.is_set()


def until(done: Callable[[], object], limit_s: float = 60) -> None:
    """Wait for something."""
    ends_s = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < ends_s, "waited in vain"
        time.sleep(0.01)


def png(side_px: int = 8) -> str:
    """A picture, in base64."""
    file = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (1, 2, 3)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
