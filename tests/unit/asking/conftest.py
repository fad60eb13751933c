"""A server that sends bytes, whether they are HTTP or not."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes], str]]:
    """A function that starts a server which answers every request with the same bytes and hangs up; returns its URL."""
    sockets: list[socket.socket] = []

    def start(reply: bytes) -> str:
        listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        sockets.append(listening)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"

    yield start
    for listening in sockets:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
