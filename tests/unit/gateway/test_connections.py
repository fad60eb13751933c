"""Connections with the real server and real sockets, around an application that only says what it was asked."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from gateway_here import until
from raw_http import Reply, exchange, request

from globe.gateway.connections import MAX_HEADER_BYTES, protocol_of
from globe.gateway.settings import GatewaySettings

TIMEOUT_S = 0.5
LARGE = 8 * 2**20
DRIPS = 1200
"""A minute of them."""


class Echo:
    """An application that keeps what it was asked, and answers with the headers that it saw."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.ended = 0

    async def __call__(self, scope, receive, send) -> None:
        self.asked.append({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        self.asked[-1] |= {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        body = b"x" * (LARGE if scope["path"] == "/large" else 2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
        self.ended += 1


@pytest.fixture(scope="module")
def echo() -> Iterator[tuple[Echo, tuple[str, int]]]:
    app = Echo()
    bounds = GatewaySettings(body_timeout_s=TIMEOUT_S, max_connections=20)
    config = uvicorn.Config(app, http=protocol_of(bounds), ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield app, listening.getsockname()
        server.should_exit = True
        thread.join(60)


@pytest.fixture
def ask(echo):
    def ask(*pieces: bytes) -> Reply:
        return exchange(echo[1], pieces)

    return ask


def test_a_request_is_answered_whatever_pieces_it_comes_in(echo, ask):
    whole = request("POST", "/", b"body", X_Note="a")
    assert ask(whole).status == 200
    assert ask(*(whole[at : at + 1] for at in range(len(whole)))).status == 200
    assert echo[0].asked[-1] == {"host": "gateway", "content-length": "4", "x-note": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "garbage\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_gets_the_one_shape_of_errors_and_the_connection_ends(ask, text):
    reply = ask(text.encode())
    assert (reply.status, reply.code, reply.headers["connection"]) == (400, "not_http", "close")
    assert len(reply.headers["x-request-id"]) == 32


def test_headers_are_bounded_together_each_and_in_number(echo, ask):
    before = len(echo[0].asked)
    large = "a" * (MAX_HEADER_BYTES // 2)
    for headers in ({"A": large, "B": large}, {"A": 3 * large}, {f"X{number}": "a" for number in range(101)}):
        reply = ask(request("GET", "/", **headers))
        assert (reply.status, reply.code) == (431, "headers_too_large")
    reply = ask(request("GET", "/" + 2 * large))
    assert (reply.status, reply.code) == (431, "headers_too_large")
    assert ask(b"GET / HTTP/1.1\r\nX: ", *[b"a" * 10_000] * 50).code == "headers_too_large"
    assert ask(request("GET", "/", A=large)).status == 200
    assert len(echo[0].asked) == before + 1


def test_what_comes_after_a_body_is_no_header_and_is_bounded(echo, ask):
    start = request("POST", "/", Transfer_Encoding="chunked")
    assert ask(start + b"1\r\nx\r\n0\r\nAuthorization: Bearer x\r\n\r\n").status == 200
    assert "authorization" not in echo[0].asked[-1]
    reply = ask(start + b"0\r\n", *(f"X{number}: {'a' * 1000}\r\n".encode() for number in range(1000)))
    assert (reply.status, reply.code) == (431, "headers_too_large")
    assert ask(start + b"0\r\nX: ", *[b"a" * 10_000] * 50).code in ("headers_too_large", "not_http")


def dripping(*pieces: bytes, gone: list[bytes]) -> Iterator[bytes]:
    """The first piece, and then the others again and again, slowly."""
    yield pieces[0]
    for _ in range(DRIPS):
        for piece in pieces[1:]:
            gone.append(piece)
            yield piece
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [((b"GET / HTTP/1.1\r\n", b"X: y\r\n"), 408), ((b"GET / HT", b""), 408), ((b"\r\n", b"\r\n"), 0), ((b"", b""), 0)],
)
def test_headers_that_do_not_come_are_waited_for_no_longer_than_is_set(echo, pieces, status):
    gone: list[bytes] = []
    reply = exchange(echo[1], dripping(*pieces, gone=gone))
    assert reply.status == status
    assert reply.seconds > 0.8 * TIMEOUT_S
    assert len(gone) < DRIPS / 2


def test_a_slow_request_on_a_connection_that_was_good_before_is_told_so_too(echo):
    with socket.create_connection(echo[1], timeout=60) as connection:
        connection.sendall(request("GET", "/") + b"GET / HTTP/1.1\r\n")
        told = read_to_the_end(connection)
    assert told.startswith(b"HTTP/1.1 200")
    assert told.partition(b"xxHTTP/1.1 ")[2].startswith(b"408")


def test_a_client_that_does_not_read_is_hung_up_on_and_one_that_reads_slowly_is_not(echo):
    app, address = echo
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.settimeout(60)
        lazy.connect(address)
        lazy.sendall(request("GET", "/large"))
        time.sleep(3 * TIMEOUT_S)
        assert len(read_to_the_end(lazy)) < LARGE
    with socket.create_connection(address, timeout=60) as slow:
        slow.sendall(request("GET", "/large", Connection="close"))
        time.sleep(TIMEOUT_S / 2)
        assert len(read_to_the_end(slow)) > LARGE
    assert app.ended == len(app.asked)


def read_to_the_end(connection: socket.socket) -> bytes:
    told = []
    try:
        while piece := connection.recv(1 << 20):
            told.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(told)


def test_one_connection_too_many_is_told_to_come_again(echo):
    def told(idle: int) -> Reply:
        with ExitStack() as kept:
            for _ in range(idle):  # they are taken in the order in which they come, this one last
                kept.enter_context(socket.create_connection(echo[1], timeout=60))
            return exchange(echo[1], [request("GET", "/")])

    replies: list[Reply] = []
    until(lambda: told(19).status == 200)
    until(lambda: replies.append(told(20)) or replies[-1].status == 503)  # a slow machine may hang up on the idle ones first
    assert (replies[-1].code, replies[-1].headers["retry-after"]) == ("overloaded", "5")
    until(lambda: told(0).status == 200)


def test_requests_one_behind_the_other_are_answered_in_order_and_garbage_after_them_answers_none(echo):
    with socket.create_connection(echo[1], timeout=60) as connection:
        connection.sendall(request("GET", "/") * 3 + request("GET", "/", Connection="close"))
        assert read_to_the_end(connection).count(b"HTTP/1.1 200") == 4
    with socket.create_connection(echo[1], timeout=60) as connection:
        connection.sendall(request("GET", "/large") + b"garbage\r\n\r\n")
        assert b"400" not in read_to_the_end(connection)[:100]


def test_an_upgrade_is_an_ordinary_request(echo):
    for protocol in ("websocket", "h2c"):
        reply = exchange(echo[1], [request("GET", "/", Connection="Upgrade", Upgrade=protocol, Sec_WebSocket_Key="AAAA")])
        assert reply.status == 200
