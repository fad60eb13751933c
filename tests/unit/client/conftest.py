"""A real gateway before a server that plays vLLM, and a server that plays a gateway which says what a test wants."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from local_server import http_server
from scripted_vllm import ScriptedVllm, gateway, scripted_vllm


@pytest.fixture
def vllm() -> Iterator[ScriptedVllm]:
    with scripted_vllm() as script:
        yield script


@pytest.fixture
def url(vllm: ScriptedVllm) -> Iterator[str]:
    with gateway(vllm) as address:
        yield address


class Scripted:
    """Replies in turn, each (status, headers, body); the last one is repeated."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, dict[str, str], str]] = []
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        """Path, headers in lower case, and body of each request."""
        self.url = ""

    def refuse(self, status: int, code: str = "x", **headers: str) -> None:
        body = {"error": {"message": f"{code} was said", "type": "invalid_request_error", "code": code, "param": None}}
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append((status, {"Content-Type": "application/json", **told}, json.dumps(body)))

    def answer(self, document: dict) -> None:
        self.replies.append((200, {"Content-Type": "application/json"}, json.dumps(document)))


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            script.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, text = script.replies.pop(0) if len(script.replies) > 1 else script.replies[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with http_server(Handler) as address:
        script.url = address
        yield script


@pytest.fixture
def answer() -> dict:
    """A gateway's document."""
    return {
        "status": "ok", "country": "France", "city": "Paris", "region": "", "level": "city", "lat_deg": 48.85, "lon_deg": 2.35,
        "reasoning": "r", "reasoning_shortened": False, "confidence": 0.5, "radius_km": 12.0, "radius_level_percent": 90.0,
        "alternatives": [{"country": "Italy", "city": "Rome", "region": "", "lat_deg": 1.0, "lon_deg": 2.0, "share": 0.5}],
        "n": 2, "answered": 2, "temperature": 0.7, "model": {"name": "globe", "digest": "d"}, "precision": "city",
    }  # fmt: skip
