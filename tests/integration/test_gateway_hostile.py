"""Whatever clients send to a gateway over real sockets: each gets its code, the engine sees nothing of it, others are served."""

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hostile import CANARY, MARKS, ROWS, Row, about, chat_body, png_of, post, url_of
from hostile_scene import SLOW_S, Scene, judge, scene_before
from raw_http import request
from recording_engine import recording_engine

from globe.data.encoding import is_our_jpeg, stored_png
from globe.data.images import load_image
from globe.gateway.texts import KNOWN

MOST_BYTES = 1_600_000_000
"""What a gateway may have had at once in the end: all that it may hold, a decoded bomb, and itself."""
ALLOWED = {"model", "n", "max_tokens", "messages", "temperature", "top_p", "seed", "stop", "stream", "stream_options"}
ALLOWED |= {"frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "response_format"}
PATHS = {"/health": "GET", "/v1/models": "GET", "/v1/chat/completions": "POST"}
PICTURE = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/]+=*)")
by_name = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Iterator[Scene]:
    with recording_engine() as engine, scene_before(engine, tmp_path_factory.mktemp("gateway")) as found:
        yield found


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
    return stored_png(picture) == data or is_our_jpeg(data, picture.size)


@by_name
def test_a_hostile_request_gets_its_code_and_never_reaches_the_engine_as_it_is(scene: Scene, row: Row):
    judge(row, reply := scene.sent(row), row.status)
    assert scene.good().status == 200
    seen = scene.engine.requests[scene.before :]
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
