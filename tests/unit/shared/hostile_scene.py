"""A gateway to which hostile requests are sent, and what is to come of each."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from gateway_process import GatewayProcess, running_gateway
from hostile import CANARY, MODEL, Row, World, about, chat_body, good, post, url_of
from raw_http import Reply, exchange, request
from recording_engine import RecordingEngine

from globe.gateway.documents import ERRORS
from globe.gateway.keyfile import make_key

SLOW_S = 1.5
TRIES = 5
PROMPT_S = 2.0
"""A client that does not dawdle is answered within."""


@dataclass
class Scene:
    """A gateway, a client with a key, and what the engine has seen."""

    gateway: GatewayProcess
    world: World
    engine: RecordingEngine
    routes: set[str]
    before: int = 0
    """How many requests the engine had seen before the hostile one."""

    def sent(self, row: Row, within_s: float = PROMPT_S) -> Reply:
        """The answer to a hostile request, by a gateway that has its route.

        One that is late is asked for again: what makes it late because the machine is busy does not do so each time.
        """
        if row.route and row.route not in self.routes:
            pytest.skip(f"this gateway has no {row.route}")
        for _ in range(TRIES):
            self.before = len(self.engine.requests)
            reply = exchange(self.gateway.address, row.build(self.world))
            if row.slow or reply.seconds < within_s:
                break
        return reply

    def good(self) -> Reply:
        """The answer to a good question with a picture."""
        return self.gateway.ask(
            *post(self.world, chat_body(about(url_of(good("JPEG"), "image/jpeg")), max_tokens=4)), timeout_s=120
        )


@contextmanager
def scene_before(engine: RecordingEngine, folder: Path, model: str = MODEL, **settings: object) -> Iterator[Scene]:
    """A gateway with a key before an engine, for as long as a `with` block lasts."""
    key, _ = make_key(folder / "keys.json", "hostile", pixels_per_minute=10**12, tokens_per_minute=10**9)
    more = {"engine_url": engine.url, "keys_file": folder / "keys.json", "body_timeout_s": SLOW_S, "model": model, **settings}
    with running_gateway(folder, **more) as gateway:
        routes = json.loads(gateway.ask(request("GET", "/openapi.json")).body)["paths"].keys()
        yield Scene(gateway, World(key, engine.url, SLOW_S), engine, set(routes))


def judge(row: Row, reply: Reply, statuses: tuple[int, ...], within_s: float = PROMPT_S) -> None:
    """The answer is the documented one, told in time, in the one shape, and names the request."""
    assert reply.status in statuses, (reply.status, reply.body[:300])
    if not reply.status:
        return
    assert re.fullmatch("[A-Za-z0-9._:-]{1,64}", reply.headers["x-request-id"])
    if reply.status >= 400:
        assert reply.code == (row.code or reply.code)
        assert reply.status in ERRORS
        assert CANARY.encode() not in reply.body
    assert row.slow or reply.seconds < within_s
