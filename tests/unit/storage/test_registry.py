"""Pushing an image: what a registry is asked, and what a user is told. The real one is in tests/integration/test_publish.py."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from local_server import http_server

from globe.errors import GlobeError, InputError
from globe.storage.registry import Reference, Registry, credentials, reference

MANIFEST = b'{"schemaVersion":2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Double:
    """A registry with tokens, as large ones have them."""

    host: str = ""
    blobs: dict = field(default_factory=dict)
    manifests: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    token: str = ""
    break_off: int = 0
    """Uploads whose connection is closed without an answer."""
    refuse: int = 0
    """Status of all that is sent; 0 to take it."""


@dataclass
class Sent:
    data: bytes

    @property
    def size(self):
        return len(self.data)

    @property
    def digest(self):
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def read(self):
        yield self.data[:3]
        yield self.data[3:]


@pytest.fixture
def registry():
    double = Double()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, headers=None, body=b""):
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            double.asked.append((self.command, url.path))
            if url.path == "/token":
                assert parse_qs(url.query) == {"service": ["it"], "scope": ["repository:models/globe:pull,push"]}
                known = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"me:secret").decode()
                return self.answer(200 if known else 401, body=json.dumps({"token": double.token}).encode())
            if double.token and self.headers.get("Authorization") != f"Bearer {double.token}":
                challenge = f'Bearer realm="http://{double.host}/token",service="it"'
                return self.answer(401, {"WWW-Authenticate": challenge})
            if double.refuse and self.command != "HEAD":
                return self.answer(double.refuse, body=b'{"errors": [{"code": "DENIED", "message": "not yours"}]}')
            if self.command == "HEAD":
                return self.answer(200 if url.path.rpartition("/")[2] in double.blobs else 404)
            if self.command == "POST":
                return self.answer(202, {"Location": "/upload/1?state=x"})
            if url.path == "/upload/1":
                if double.break_off:
                    double.break_off -= 1
                    self.close_connection = True
                    return None
                query = parse_qs(url.query)
                assert query["state"] == ["x"]
                assert f"sha256:{hashlib.sha256(body).hexdigest()}" == query["digest"][0]
                double.blobs[query["digest"][0]] = body
                return self.answer(201)
            double.manifests[url.path] = (self.headers["Content-Type"], body)
            return self.answer(201, {"Docker-Content-Digest": f"sha256:{hashlib.sha256(body).hexdigest()}"})

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

        def log_message(self, *arguments):
            pass

    with http_server(Handler) as url:
        double.host = url.removeprefix("http://")
        yield double


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A function that writes what `docker login` would."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(**content):
        (tmp_path / "config.json").write_text(json.dumps(content))

    return write


def push(double, *blobs, note=lambda text: None):
    to = Registry(Reference(double.host, "models/globe", "1"), note=note)
    return to.push(tuple(map(Sent, blobs)), MANIFEST, TYPE, DIGEST)


def test_what_is_missing_is_sent_once_and_then_the_manifest(registry):
    assert push(registry, b"layer one", b"config", b"config") == 15
    assert registry.manifests == {"/v2/models/globe/manifests/1": (TYPE, MANIFEST)}
    assert registry.asked[-1] == ("PUT", "/v2/models/globe/manifests/1")
    assert push(registry, b"layer one", b"another") == 7  # what is there stays
    assert sorted(registry.blobs.values()) == [b"another", b"config", b"layer one"]


def test_a_token_is_fetched_with_what_docker_login_keeps(registry, docker):
    registry.token = "t"
    docker(auths={registry.host: {"auth": base64.b64encode(b"me:secret").decode()}})
    assert push(registry, b"layer") == 5


def test_without_the_password_it_says_how_to_log_in(registry, docker):
    registry.token = "t"
    with pytest.raises(InputError, match=f"`docker login {registry.host}` first"):
        push(registry, b"layer")


def test_a_layer_whose_connection_breaks_off_is_sent_again(registry):
    registry.break_off, told = 2, []
    assert push(registry, b"layer", note=told.append) == 5
    assert len(told) == 2
    registry.break_off = 3
    with pytest.raises(GlobeError, match="does not answer"):
        push(registry, b"other")
    assert len(registry.manifests) == 1


@pytest.mark.parametrize(("status", "kind"), [(403, InputError), (500, GlobeError)])
def test_a_refusal_is_told_with_the_registrys_words(registry, status, kind):
    registry.refuse = status
    with pytest.raises(kind, match=rf"models/globe: the registry does not take an upload \({status}: not yours\)"):
        push(registry, b"layer")


@pytest.mark.parametrize(
    "text", ["globe", "globe:1", "example.org/globe", "models/globe:1", "https://example.org/globe:1", "e.org/A:1"]
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(InputError, match="give REGISTRY/NAME:TAG"):
        reference(text)


def test_references_are_read():
    assert reference("localhost:5000/a/b-c:v1") == Reference("localhost:5000", "a/b-c", "v1")
    assert reference("registry.example.org/globe:2026.11") == Reference("registry.example.org", "globe", "2026.11")


def test_passwords_that_are_not_in_the_file_are_told(docker):
    docker(auths={"https://index.example.org/v1/": {"auth": base64.b64encode(b"a:b:c").decode()}}, credHelpers={"x.org": "pass"})
    assert credentials("index.example.org") == ("a", "b:c")
    assert credentials("other.org") is None
    with pytest.raises(InputError, match=r"a program keeps the password for x\.org"):
        credentials("x.org")
