"""Something that answers as vLLM's server does, and keeps every request that came."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_server import http_server

MODEL = "globe"
TEXT = "<think>palms</think><answer>country: Kenya\ncity: Nairobi</answer>"


class RecordingEngine:
    """What came: method, path, headers and body of each request, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    def questions(self) -> list[dict[str, Any]]:
        """The bodies of all questions."""
        return [json.loads(body) for method, _, _, body in self.requests if method == "POST"]


def completion(asked: dict[str, Any]) -> dict[str, Any]:
    """A whole answer to a question, in vLLM's form."""
    message = {"role": "assistant", "content": TEXT}
    choices = [
        {"index": number, "message": message, "logprobs": None, "finish_reason": "stop"} for number in range(asked.get("n") or 1)
    ]
    usage = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": choices, "usage": usage}


def chunks(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The same answer as chunks of a stream."""
    told: list[dict[str, Any]] = []
    for number in range(asked.get("n") or 1):
        told.append({"index": number, "delta": {"role": "assistant", "content": TEXT}, "logprobs": None, "finish_reason": None})
        told.append({"index": number, "delta": {"content": ""}, "logprobs": None, "finish_reason": "stop"})
    return [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]} for choice in told]


@contextmanager
def recording_engine() -> Iterator[RecordingEngine]:
    """The engine, for as long as a `with` block lasts."""
    seen = RecordingEngine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_all(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.requests.append((self.command, self.path, dict(self.headers), body))
            if self.path == "/v1/models":
                self.tell({"object": "list", "data": [{"id": MODEL, "max_model_len": 2048}]})
            elif self.path != "/v1/chat/completions":
                self.tell({})
            elif (asked := json.loads(body)).get("stream"):
                lines = [*(json.dumps(chunk) for chunk in chunks(asked)), "[DONE]"]
                self.tell_text("".join(f"data: {line}\n\n" for line in lines), "text/event-stream")
            else:
                self.tell(completion(asked))

        def tell(self, document: dict[str, Any]) -> None:
            self.tell_text(json.dumps(document), "application/json")

        def tell_text(self, text: str, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = handle_all

        def log_message(self, *arguments: object) -> None:
            pass

    with http_server(Handler) as url:
        seen.url = url
        yield seen
