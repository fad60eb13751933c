"""A handler of HTTP requests as a real server on this machine, for as long as a test needs it."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """A handler that logs nothing."""

    def send_body(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        """Answer with bytes of a content type; `length` is what is said of them, if that is not to be true."""
        self.send_response(status)
        announced = str(len(body) if length is None else length)
        for name, value in {"Content-Type": kind, "Content-Length": announced, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class JsonHandler(Handler):
    """A handler that answers in JSON, and logs nothing."""

    def send(self, status: int, document: Any) -> None:
        """Answer with a document."""
        self.send_body(status, "application/json", json.dumps(document).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that has hung up, or was killed, is what some tests are about


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port while a `with` block lasts; gives http://127.0.0.1:PORT."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
