"""A real S3 server (moto's, as a process of its own), the line to it, and machines without memory."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from held_port import held_port

SECRET = "planted-secret-7Qx"


class Server:
    """An S3 server as a process; `client` talks to it past any line."""

    def __init__(self, log: Path, **environment: str) -> None:
        import boto3

        self._held = held_port()
        self.port = int(self._held.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        with log.open("ab") as file:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | environment)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                assert self.process.poll() is None, log.read_text()
                time.sleep(0.05)
        self.client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id="id", aws_secret_access_key="s", region_name="us-east-1"
        )

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._held.close()


class Bucket:
    """A bucket, looked at past what is tested."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.client, self.name = server, server.client, name
        self.client.create_bucket(Bucket=name)

    def names(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def write(self, key: str, data: bytes | str) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"


class Line:
    """A TCP line to the server that can be slow, count, be cut and come back."""

    def __init__(self, target_port: int) -> None:
        self._held = socket.socket()  # the port remains this line's while it is cut
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port = self._held.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.up_bytes = self.down_bytes = 0
        self.bytes_per_s = 0.0
        """Of each connection and direction; 0 is as fast as it goes."""
        self._target_port = target_port
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.restore()

    def restore(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes who reads from it; closing alone does not

    def end(self) -> None:
        self._held.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target_port))
            self._connections |= {near, far}
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        try:
            while data := source.recv(64 * 1024):
                target.sendall(data)
                if up:
                    self.up_bytes += len(data)
                else:
                    self.down_bytes += len(data)
                if self.bytes_per_s:
                    time.sleep(len(data) / self.bytes_per_s)
        except OSError:
            pass
        finally:
            for end in (source, target):
                self._connections.discard(end)
                end.close()


class Front:
    """An HTTP server before the S3 server that answers some requests itself, as other servers do or as a busy one does."""

    def __init__(self, target_port: int) -> None:
        front = self
        self.refuse = lambda method, path, headers: None
        """Gives a status and an S3 error code for a request that is not to go through."""
        self.refused = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                refused = front.refuse(self.command, self.path, self.headers)
                if refused:
                    front.refused += 1
                    status, headers, answer = refused[0], [], f"<Error><Code>{refused[1]}</Code></Error>".encode()
                else:
                    connection = http.client.HTTPConnection("127.0.0.1", target_port)
                    connection.request(self.command, self.path, body, dict(self.headers))
                    response = connection.getresponse()
                    status, headers, answer = response.status, response.getheaders(), response.read()
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                told = [value for name, value in headers if name.lower() == "content-length"]  # a HEAD is told of what a GET has
                self.send_header("Content-Length", told[0] if told and self.command == "HEAD" else str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

            def log_message(self, *args) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def front(server, monkeypatch, scratch):
    front = Front(server.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
    yield front
    front.end()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("moto") / "moto.log")
    yield server
    server.end()


@pytest.fixture
def line(server):
    line = Line(server.port)
    yield line
    line.cut()
    line.end()


@pytest.fixture
def bucket(server, request):
    name = "b" + format(abs(hash(request.node.nodeid)) % 16**10, "010x")
    return Bucket(server, name)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch, line):
    """This machine's mirrors, and an environment in which only the test's server is known."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GLOBE_"))]:
        monkeypatch.delenv(name)
    values = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": line.url,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "GLOBE_SCRATCH": str(tmp_path / "scratch"),
        "GLOBE_S3_PATIENCE_S": "60",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "scratch"


@pytest.fixture
def another_machine(scratch, tmp_path):
    """Call it to stand before a machine where nothing has been mirrored yet; the paths are the same there."""

    def leave() -> None:
        if scratch.exists():
            shutil.move(scratch, tmp_path / f"machine-{time.monotonic_ns()}")

    return leave
