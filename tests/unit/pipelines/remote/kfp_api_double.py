"""A KFP API server for tests: a real HTTP server in front of `KfpBackend`. What goes wrong is planned request by request.

In a test: `with KfpApiDouble(KfpBackend(outcome="FAILED")) as server: ... server.received`. As a process that can be killed
and started again: `python -m tests.unit.pipelines.remote.kfp_api_double --port PORT --state FILE`; what it knows lives in FILE.
"""

import argparse
import json
import pickle
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api

from .kfp_backend import KfpBackend, Request, error_body

SERIALIZER = api.ApiClient()
LOGIN_PAGE = b"<!DOCTYPE html><html><body>Log in with your account</body></html>"


@dataclass
class Fault:
    """Something that goes wrong with requests whose method and path begin with `what`, such as "POST /runs".

    times: how many requests it hits, after the first `skip`.
    how: a status code, or one of
        lost      done, but the connection breaks before the answer
        cut       done, but the connection breaks within the answer
        gateway   done, but a gateway answers 502
        hang      done, but never answered
        drip      answered a byte at a time, without end
        after     a gateway answers 504, and `seconds` later it is done
        busy      429 with Retry-After `seconds`, and 400 for whoever does not wait that long
        html      a login page
        redirect  to a login page
        half      half of the JSON
        empty     as if there were nothing
        nonsense  JSON of wrong types
    """

    what: str
    how: int | str
    times: int = 1_000_000
    skip: int = 0
    message: str = "planned by the test"
    seconds: float = 0.0
    begun: float = 0.0


class KfpApiDouble:
    """The server.

    Args:
        backend: What it does.
        faults: What goes wrong.
        tokens: Those it takes; None for any or none.
        on_refused: Called when a token is refused.
        port: Where to listen; 0 for any free port.
        state_file: Where the backend is kept; if it is there, it replaces `backend`.
        tls: Certificate and key, for https.
    """

    def __init__(
        self,
        backend: KfpBackend | None = None,
        *,
        faults: list[Fault] | None = None,
        tokens: set[str] | None = None,
        on_refused: Callable[[], None] = lambda: None,
        port: int = 0,
        state_file: Path | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        kept = state_file is not None and state_file.exists()
        self.backend = pickle.loads(state_file.read_bytes()) if kept else backend or KfpBackend()
        self.faults, self.tokens, self.on_refused, self.state_file = faults or [], tokens, on_refused, state_file
        self.lock, self.closing = threading.RLock(), threading.Event()
        self.http = _Http(("127.0.0.1", port), _handler(self))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> "KfpApiDouble":
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    def received(self, what: str) -> list[Request]:
        """The requests whose method and path begin so."""
        return [request for request in list(self.backend.received) if request.what.startswith(what)]

    def serve(self, request: Request) -> tuple[int, Any, Fault | None]:
        """Status and content of the answer, and what goes wrong with it."""
        with self.lock:
            self.backend.received.append(request)
            shown = request.headers.get("authorization")
            if self.tokens is not None and shown not in {f"Bearer {token}" for token in self.tokens}:
                self.on_refused()
                return 401, error_body(16, f"no such token: {shown}"), None
            fault = self._fault_for(request)
            if fault and isinstance(fault.how, int):
                return fault.how, error_body(13, fault.message), fault
            if fault and fault.how == "after":
                threading.Timer(fault.seconds, self.backend.answer, [request]).start()
                return 504, error_body(4, "upstream request timeout"), None
            status, content = self.backend.answer(request)
            if self.state_file:
                partial = self.state_file.with_suffix(".tmp")
                partial.write_bytes(pickle.dumps(self.backend))
                partial.replace(self.state_file)
            return status, content, fault

    def _fault_for(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if request.what.startswith(fault.what) and fault.times > 0:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, address: Any) -> None:
        self.open.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """A server that is gone does not go on talking on the connections that it has."""
        super().server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Broken connections are what many tests are about."""


def _handler(double: KfpApiDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        server_of = double

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: KfpApiDouble

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        status, content, fault = self.server_of.serve(self._read())
        plain = isinstance(content, bytes)  # what an old server writes as a text
        data = content if plain else json.dumps(SERIALIZER.sanitize_for_serialization(content)).encode()
        if fault and isinstance(fault.how, str):
            self._misbehave(fault, data)
        else:
            self._send(status, data, "text/plain; charset=utf-8" if plain else "application/json")

    do_POST = do_PATCH = do_DELETE = do_GET

    def _read(self) -> Request:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = self.rfile.read(int(headers.get("content-length", 0)))
        kind = headers.get("content-type", "")
        body = _uploaded(kind, raw) if kind.startswith("multipart/") else json.loads(raw) if raw else None
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return Request(self.command, parts.path, query, headers, body)

    def _send(self, status: int, data: bytes, kind: str = "application/json", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _misbehave(self, fault: Fault, data: bytes) -> None:
        match fault.how:
            case "lost":
                self._break()
            case "hang":
                self.server_of.closing.wait(60)
                self._break()
            case "gateway":
                self._send(502, b"<html><body>Bad gateway</body></html>", "text/html")
            case "busy":
                early = 0 < time.monotonic() - fault.begun < fault.seconds
                fault.begun = fault.begun or time.monotonic()
                self._send(400 if early else 429, data, headers={"Retry-After": str(fault.seconds)})
            case "drip":
                self._drip()
            case "html":
                self._send(200, LOGIN_PAGE, "text/html; charset=utf-8")
            case "cut":
                self._send(200, data, headers={"Content-Length": str(len(data) + 100)})
                self._break()
            case "empty":
                self._send(200, b"{}")
            case "half":
                self._send(200, data[: len(data) // 2])
            case "nonsense":
                self._send(200, b'{"run_id": 7, "experiment_id": ["x"], "run_details": "none"}')
            case "redirect":
                self._send(302, b"", headers={"Location": "https://login.example.org/auth?state=secret-state"})
            case _:
                raise ValueError(fault.how)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server_of.closing.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()

    def _break(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _uploaded(kind: str, raw: bytes) -> str:
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw)
    files = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
    return files["uploadfile"].get_payload(decode=True).decode()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    given = parser.parse_args()
    KfpApiDouble(port=given.port, state_file=given.state).http.serve_forever()


if __name__ == "__main__":
    main()
