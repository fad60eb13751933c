"""A server that says what it is told to, over real HTTP: what is tested is the client that asks it."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from local_server import http_server

ANSWER = "<think>a tower</think><answer>country: France\ncity: Paris</answer>"


class StandInModel:
    """An OpenAI-compatible server with one model, whose answers a test sets; it keeps what it was asked."""

    def __init__(self) -> None:
        self.name = "stand-in"
        self.root = ""
        self.max_model_len = 0
        self.text = ANSWER
        self.finish_reason = "stop"
        self.page: tuple[int, str, str] | None = None
        """Status, content type and body of every reply, instead of a model's."""
        self.chat: tuple[int, str, str] | None = None
        """The same of replies to questions only."""
        self.hangs = False
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        """What came as authorization with each request."""
        self.digest = ""
        """What it says it serves, as a server of ours; empty for others."""
        self.key = ""
        """The key that it asks for; empty for none."""
        self.url = ""

    def reply(self, path: str, body: bytes) -> tuple[int, str, str]:
        """Status, content type and body."""
        if self.page:
            return self.page
        if path == "/v1/models":
            card = {"id": self.name, "object": "model", "root": self.root or None, "max_model_len": self.max_model_len or None}
            return 200, "application/json", json.dumps({"object": "list", "data": [card]})
        if path != "/v1/chat/completions":
            return 404, "application/json", json.dumps({"detail": "Not Found"})
        self.asked.append(json.loads(body))
        if self.chat:
            return self.chat
        choice = {"index": 0, "finish_reason": self.finish_reason, "message": {"role": "assistant", "content": self.text}}
        return 200, "application/json", json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]})

    @property
    def prompts(self) -> list[str]:
        """The text beside each picture."""
        return [asked["messages"][0]["content"][1]["text"] for asked in self.asked]


@pytest.fixture
def model() -> Iterator[StandInModel]:
    """The server, running."""
    stand_in = StandInModel()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def handle_all(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stand_in.keys.append(self.headers.get("Authorization"))
            while stand_in.hangs and not over.is_set():
                time.sleep(0.05)
            refused = (401, "application/json", json.dumps({"error": {"message": "this server asks for its key"}}))
            locked = stand_in.key and self.headers.get("Authorization") != f"Bearer {stand_in.key}"
            status, kind, text = refused if locked else stand_in.reply(self.path, body)
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if stand_in.digest and not locked:
                self.send_header("X-Globe-Model", stand_in.digest)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = handle_all

        def log_message(self, *arguments: object) -> None:
            pass

    with http_server(Handler) as url:
        stand_in.url = f"{url}/v1"
        yield stand_in
        over.set()


@pytest.fixture(scope="session")
def tiny_witnesses(tmp_path_factory):
    """Tiny models of the classes that `globe witness` serves; the one for segmentation is trained."""
    from witness_server import build_tiny_models

    return build_tiny_models(tmp_path_factory.mktemp("witnesses"))
