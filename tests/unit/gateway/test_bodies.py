"""What comes before a route, with the ASGI messages that a server sends; real sockets are in test_connections and integration."""

import asyncio
import json
from typing import Any

import pytest

from globe.gateway.bodies import Bodies
from globe.gateway.keyfile import make_key
from globe.gateway.keys import KeyRing
from globe.gateway.memory import hold
from globe.gateway.settings import GatewaySettings

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}


class Exchange:
    """One request to `Bodies`, and all that came of it."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.bodies = Bodies(self.route, settings, KeyRing(settings))
        self.reached: list[bytes] = []
        self.sent: list[dict[str, Any]] = []
        self.seen_scope: dict[str, Any] = {}
        self.holds = 0

    async def route(self, scope, receive, send) -> None:
        """What `Bodies` surrounds: reads everything, and answers."""
        self.seen_scope = scope
        hold(self.holds)
        self.reached.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    def ask(self, method: str, path: str, *pieces: bytes, headers=(), raw_path: bytes | None = None, ends: bool = True):
        """Status and the error's code; None for no answer."""
        given = {"host": "a", **dict(headers)}
        scope = {"type": "http", "method": method, "path": path, "raw_path": raw_path or path.encode(), "http_version": "1.1"}
        scope["headers"] = [(name.encode(), value.encode()) for name, value in given.items()]
        messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        if ends:
            messages = [*messages, {"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if messages:
                return messages.pop(0)
            await asyncio.sleep(3600)

        async def send(message):
            self.sent.append(message)

        self.sent.clear()
        asyncio.run(self.bodies(scope, receive, send))
        self.left = len(messages)
        if not self.sent:
            return None
        body = b"".join(message.get("body", b"") for message in self.sent)
        return self.sent[0]["status"], json.loads(body)["error"]["code"] if self.sent[0]["status"] >= 400 else ""

    def header(self, name: str) -> bytes | None:
        return dict(self.sent[0]["headers"]).get(name.encode())


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(GatewaySettings(max_body_bytes=100, body_timeout_s=0.1, max_held_bytes=500))


def test_a_body_is_handed_on_whole(exchange):
    assert exchange.ask("POST", CHAT, b'{"a":', b" 1}", headers=JSON) == (200, "")
    assert exchange.reached == [b'{"a": 1}']


def test_a_photo_is_no_json_and_is_handed_on_as_it_is(exchange):
    assert exchange.ask("POST", "/locate", b"\xff\xd8{", headers={"content-type": "image/jpeg"}) == (200, "")
    assert exchange.reached == [b"\xff\xd8{"]


def test_too_large_a_body_is_refused_by_its_length_before_any_of_it_and_else_when_it_is_too_large(exchange):
    assert exchange.ask("POST", CHAT, b"x" * 60, b"x" * 60, headers=JSON | {"content-length": "101"}) == (413, "body_too_large")
    assert exchange.ask("POST", CHAT, b"x" * 60, b"x" * 41, headers=JSON) == (413, "body_too_large")
    assert exchange.ask("POST", "/locate", b"x" * 60, b"x" * 40, headers={"content-length": "100"}) == (200, "")
    assert [len(body) for body in exchange.reached] == [100]


def test_whoever_is_refused_is_heard_out_and_the_connection_ends(exchange):
    exchange.ask("POST", CHAT, *[b"x" * 50] * 20, headers=JSON)
    assert exchange.left == 0
    assert exchange.header("connection") == b"close"
    assert [message["type"] for message in exchange.sent] == ["http.response.start", "http.response.body", "http.response.body"]


def test_a_body_that_does_not_come_is_refused_in_time(exchange):
    assert exchange.ask("POST", CHAT, b"{", headers=JSON, ends=False) == (408, "too_slow")


def test_of_other_requests_no_body_is_read(exchange):
    assert exchange.ask("POST", "/health", b"x" * 999, ends=False) == (200, "")
    assert exchange.ask("GET", CHAT, b"x" * 999, ends=False) == (200, "")
    assert exchange.reached == [b"", b""]
    assert exchange.left == 1


def test_the_key_is_asked_for_before_the_body(tmp_path):
    key, _ = make_key(tmp_path / "keys.json", "ci")
    exchange = Exchange(GatewaySettings(keys_file=tmp_path / "keys.json", max_body_bytes=10))
    assert exchange.ask("POST", CHAT, b"x" * 99, headers=JSON) == (401, "no_key")
    assert exchange.header("www-authenticate") == b"Bearer"
    assert exchange.ask("POST", CHAT, b"x" * 99, headers=JSON | {"authorization": f"Bearer {key}"}) == (413, "body_too_large")


def test_what_requests_hold_together_is_bounded_and_forgotten_when_they_are_answered(exchange):
    exchange.holds = 400
    for _ in range(3):
        assert exchange.ask("POST", CHAT, b"[" + b" " * 40 + b"]", headers=JSON) == (200, "")
    exchange.bodies._memory.held_bytes = 450
    assert exchange.ask("POST", CHAT, b"[" + b" " * 40 + b"]", headers=JSON) == (503, "overloaded")
    assert exchange.header("retry-after") == b"2"
    assert exchange.bodies._memory.held_bytes == 450


@pytest.mark.parametrize(
    "target",
    [
        *("//", "//v1/models", "/v1//models", "/./x", "/..", "/x/..", "/x/../y", "/%76", "/x%2fy", "/x;y", "/x\\y", "/x y", "*"),
        *("x", "", "/x\0", "/\xe4", "/x/.", "/x//", "/~/../x", "/x?y", "/x#y"),
    ],
)
def test_an_address_that_is_not_plain_is_not_there(exchange, target):
    assert exchange.ask("GET", "/health", raw_path=target.encode("latin-1") or b"?") == (404, "not_found")
    assert exchange.reached == []


@pytest.mark.parametrize("target", ["/", "/health", "/v1/models", "/static/page.css", "/static/a-b_c~d.1.js", "/.env", "/x/"])
def test_a_plain_one_is_left_to_the_routes(exchange, target):
    assert exchange.ask("GET", target) == (200, "")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-length": "2", "transfer-encoding": "chunked"}, (400, "bad_header")),
        ({"content-length": "two"}, (400, "bad_header")),
        ({"content-length": ""}, (400, "bad_header")),
        ({"content-length": "9" * 19}, (400, "bad_header")),
        ({"transfer-encoding": "gzip, chunked"}, (400, "bad_header")),
        ({"transfer-encoding": "identity"}, (400, "bad_header")),
        ({"content-encoding": "gzip"}, (415, "content_encoding")),
        ({"content-encoding": "br"}, (415, "content_encoding")),
        ({"content-encoding": "identity"}, (200, "")),
        ({"transfer-encoding": "Chunked"}, (200, "")),
    ],
)
def test_headers_leave_no_doubt_about_the_body(exchange, headers, expected):
    assert exchange.ask("POST", "/locate", b"{}", headers=headers) == expected


@pytest.mark.parametrize("name", ["host", "content-type", "authorization", "content-length", "transfer-encoding", "expect"])
def test_a_header_that_decides_something_is_there_once(exchange, name):
    scope = {"type": "http", "method": "GET", "path": "/health", "raw_path": b"/health", "http_version": "1.1"}
    scope["headers"] = [(b"host", b"a"), (name.encode(), b"1"), (name.encode(), b"1")]
    sent: list[dict[str, Any]] = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(exchange.bodies(scope, receive, send))
    assert (sent[0]["status"], json.loads(sent[1]["body"])["error"]["code"]) == (400, "duplicate_header")


def test_a_client_that_hangs_up_while_it_sends_gets_no_answer_and_asks_nothing(exchange):
    scope = {"type": "http", "method": "POST", "path": CHAT, "raw_path": CHAT.encode(), "http_version": "1.1"}
    scope["headers"] = [(b"host", b"a")]

    async def receive():
        return {"type": "http.disconnect"}

    asyncio.run(exchange.bodies(scope, receive, None))
    assert exchange.reached == []


def test_a_web_socket_is_closed_before_it_is_one(exchange):
    sent: list[dict[str, Any]] = []

    async def send(message):
        sent.append(message)

    asyncio.run(exchange.bodies({"type": "websocket", "path": "/"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
