"""Whatever clients send to a gateway over real sockets: each gets its code, the engine sees nothing of it, others are served."""

import base64
import json
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gateway_process import GatewayProcess, running_gateway
from hostile import CANARY, MARKS, MODEL, ROWS, Row, World, about, chat_body, good, png_of, post, url_of
from raw_http import Reply, exchange, request
from recording_engine import RecordingEngine, recording_engine

from globe.data.encoding import is_our_jpeg, stored_png
from globe.data.images import load_image
from globe.gateway.documents import ERRORS
from globe.gateway.keyfile import make_key
from globe.gateway.texts import KNOWN
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, read_checkpoint
from globe.recipes.load import load_recipe
from globe.serving.process import served
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import local_key

SLOW_S = 1.5
PROMPT_S = 2.0
"""A client that does not dawdle is answered within."""
MOST_BYTES = 1_600_000_000
"""What a gateway may have had at once in the end: all that it may hold, a decoded bomb, and itself."""
ALLOWED = {"model", "n", "max_tokens", "messages", "temperature", "top_p", "seed", "stop", "stream", "stream_options"}
ALLOWED |= {"frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "response_format"}
PATHS = {"/health": "GET", "/v1/models": "GET", "/v1/chat/completions": "POST"}
PICTURE = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/]+=*)")
by_name = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])


@dataclass
class Scene:
    """A gateway, a client with a key, and what the engine has seen."""

    gateway: GatewayProcess
    world: World
    engine: RecordingEngine
    routes: set[str]

    def sent(self, row: Row) -> Reply:
        """The answer to a hostile request, by a gateway that has its route."""
        if row.route and row.route not in self.routes:
            pytest.skip(f"this gateway has no {row.route}")
        return exchange(self.gateway.address, row.build(self.world))

    def good(self) -> Reply:
        """The answer to a good question with a picture."""
        return self.gateway.ask(
            *post(self.world, chat_body(about(url_of(good("JPEG"), "image/jpeg")), max_tokens=4)), timeout_s=120
        )


@contextmanager
def scene_before(engine: RecordingEngine, folder: Path, model: str = MODEL, **settings: object) -> Iterator[Scene]:
    key, _ = make_key(folder / "keys.json", "hostile", pixels_per_minute=10**12, tokens_per_minute=10**9)
    more = {"engine_url": engine.url, "keys_file": folder / "keys.json", "body_timeout_s": SLOW_S, "model": model, **settings}
    with running_gateway(folder, **more) as gateway:
        routes = json.loads(gateway.ask(request("GET", "/openapi.json")).body)["paths"].keys()
        yield Scene(gateway, World(key, engine.url, SLOW_S), engine, set(routes))


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Iterator[Scene]:
    with recording_engine() as engine, scene_before(engine, tmp_path_factory.mktemp("gateway")) as found:
        yield found


def judge(row: Row, reply: Reply, statuses: tuple[int, ...]) -> None:
    """The answer is the documented one, told in time, in the one shape, and names the request."""
    assert reply.status in statuses, (reply.status, reply.body[:300])
    if not reply.status:
        return
    assert re.fullmatch("[A-Za-z0-9._:-]{1,64}", reply.headers["x-request-id"])
    if reply.status >= 400:
        assert reply.code == (row.code or reply.code)
        assert reply.status in ERRORS
        assert CANARY.encode() not in reply.body
    assert row.slow or reply.seconds < PROMPT_S


def is_clean(question: dict[str, Any]) -> bool:
    """Whether the engine was asked with the gateway's own words, plain text, and pictures of nothing but pixels."""
    parts = [part for message in question["messages"] if isinstance(message["content"], list) for part in message["content"]]
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    said = [message["content"] for message in question["messages"] if isinstance(message["content"], str)]
    said.append("".join(part["text"] for part in parts if part["type"] == "text"))
    marks = {mark for mark in (*MARKS, *KNOWN, "<|") for text in said if mark in text}
    odd = {letter for text in said for letter in text if not letter.isprintable() and letter != "\n"}
    dropped = CANARY in json.dumps(question) or question.keys() - ALLOWED
    return not (marks or odd or dropped) and all(map(is_safe_picture, pictures))


def is_safe_picture(url: str) -> bool:
    """Whether an address is a picture of the gateway's own making: pixels, and nothing else."""
    found = PICTURE.fullmatch(url)
    data = base64.b64decode(found[2]) if found else b""
    picture = load_image(data)
    return stored_png(picture) == data or is_our_jpeg(data, picture)


@by_name
def test_a_hostile_request_gets_its_code_and_never_reaches_the_engine_as_it_is(scene: Scene, row: Row):
    before = len(scene.engine.requests)
    judge(row, reply := scene.sent(row), row.status)
    assert scene.good().status == 200
    seen = scene.engine.requests[before:]
    assert {(path, method) for method, path, _, _ in seen} <= PATHS.items()
    questions = [json.loads(body) for method, _, _, body in seen if method == "POST"]
    assert len(questions) == 1 + (reply.status == 200 and row.asks)
    assert [question for question in questions if not is_clean(question)] == []
    assert not [value for _, _, headers, _ in seen for value in headers.values() if scene.world.key in value]


def test_many_large_pictures_at_once_take_no_more_memory_than_is_allowed(scene: Scene):
    bomb = post(scene.world, chat_body(about(url_of(png_of(7000, 7000, whole=True)))))
    large = post(scene.world, chat_body(about(url_of(png_of(1536, 1536, whole=True)))))
    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(lambda pieces: scene.gateway.ask(*pieces, timeout_s=120), [*[bomb] * 6, *[large] * 60]))
    assert {reply.status for reply in replies} <= {200, 503}
    assert all(reply.code == "overloaded" for reply in replies if reply.status == 503)
    assert scene.good().status == 200
    assert scene.gateway.peak_bytes() < MOST_BYTES


def test_requests_that_are_sent_one_behind_the_other_are_answered_in_order_and_apart(scene: Scene):
    models = request("GET", "/v1/models", Authorization=f"Bearer {scene.world.key}")
    with socket.create_connection(scene.gateway.address, timeout=20) as connection:
        connection.sendall(models + request("GET", "/metrics") + request("GET", "/v1/models", Connection="close"))
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", told)] == [200, 404, 401]


def test_whoever_opens_connections_and_says_nothing_keeps_nobody_out(scene: Scene):
    idle = [socket.create_connection(scene.gateway.address, timeout=20) for _ in range(300)]
    try:
        assert scene.good().status == 200
        for connection in idle:
            assert connection.recv(1) == b""  # they are hung up on
    finally:
        for connection in idle:
            connection.close()


def test_a_client_that_never_reads_is_hung_up_on(scene: Scene):
    """Its answers fill what the kernel keeps for it, and then no more of its requests are read."""
    requests = 2000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(scene.gateway.address)
        connection.sendall(request("GET", "/openapi.json") * requests)
        time.sleep(SLOW_S + 2)
        assert _read_to_the_end(connection).count(b"HTTP/1.1 200") < requests
    assert scene.good().status == 200


def _read_to_the_end(connection: socket.socket) -> bytes:
    told = b""
    try:
        while piece := connection.recv(1 << 20):
            told += piece
    except ConnectionResetError:
        pass
    return told


def test_nothing_of_what_was_sent_is_in_the_log(scene: Scene):
    """Runs after the others."""
    log = scene.gateway.log.read_text()
    assert [text for text in (CANARY, scene.world.key, "forged", "Traceback", "passwd", "Nairobi") if text in log] == []


@pytest.mark.e2e
@pytest.mark.timeout(1500)
def test_the_real_engine_is_safe_behind_it_as_well(tmp_path):
    checkpoint = read_checkpoint(Path(base_model(model=TINY, seed=0, store=tmp_path / "store").outcome.outputs["checkpoint"]))
    recipe = load_recipe(ServingRecipe, "serving", "demo", {"startup_timeout_s": 900})
    with tempfile.TemporaryDirectory(prefix="t") as folder, served(checkpoint, MODEL, recipe, Path(folder)) as running:
        engine = RecordingEngine()
        engine.url = running.url.removesuffix("/v1")
        (tmp_path / "key").write_text(local_key(Path(folder), MODEL).read_text())
        wrong: dict[str, str] = {}
        with scene_before(engine, tmp_path, key_file=tmp_path / "key") as scene:
            for row in ROWS:
                if row.route and row.route not in scene.routes:
                    continue
                try:
                    judge(row, scene.sent(row), row.with_engine or row.status)
                    assert scene.good().status == 200
                except AssertionError as error:
                    wrong[row.name] = str(error)[:300]
        assert wrong == {}
