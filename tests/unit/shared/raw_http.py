"""HTTP as bytes on a socket, for requests that no client would send."""

import http.client
import json
import select
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SLICE = 1 << 16


@dataclass
class Reply:
    """What came back: status 0 if the connection was closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def code(self) -> str:
        """The `code` of an error in the one shape of errors."""
        error = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "code", "param"}, error
        return error["code"]


def exchange(address: tuple[str, int], pieces: Iterable[bytes], timeout_s: float = 30.0) -> Reply:
    """Send bytes as they are, until all are sent or an answer comes, and read the answer.

    Args:
        address: Host and port.
        pieces: The bytes; an iterable that sleeps makes a slow client.
        timeout_s: How long to wait for the next bytes of the answer.
    """
    begun = time.monotonic()
    with socket.create_connection(address, timeout=timeout_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                view = memoryview(piece)
                for start in range(0, len(view), SLICE):
                    if select.select([connection], [], [], 0)[0]:
                        raise InterruptedError
                    connection.sendall(view[start : start + SLICE])
        except (InterruptedError, ConnectionError):
            pass  # there is an answer already
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            seconds = time.monotonic() - begun
            return Reply(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read(), seconds
            )
        except (http.client.HTTPException, ConnectionError):
            return Reply(0, {}, b"", time.monotonic() - begun)


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as a client would write it; an underscore in a header's name is a hyphen, and None takes one out."""
    given: dict[str, Any] = {"Host": "gateway"} | ({"Content-Length": str(len(body))} if body else {})
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value is not None), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
