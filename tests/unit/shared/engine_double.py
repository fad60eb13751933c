"""A server that plays vLLM with faults, over real HTTP: how each answer comes, a test says beforehand.

It answers what vLLM answers (facts measured with 0.32: statuses, texts, broken-off answers with status 200, streams), and gives
no thought to what it is asked. Tests with the real engine are tests/integration/test_gateway.py.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from local_server import Handler, http_server

DIGEST = "d" * 64
MAX_MODEL_LEN = 4096
WORDS = ("country: Peru\n", "city: ", "Lima")
USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
LEAK = "EngineCore at /usr/lib/vllm/v1/engine/core.py"
"""What no client may ever read."""
REFUSALS = {
    "too long": (400, f"This model's maximum context length is 4096 tokens. {LEAK}"),
    "bad schema": (400, f"Grammar error: cannot compile json_schema. {LEAK}"),
    "not taken": (400, f"Failed to apply Qwen2_5_VLProcessor. {LEAK}"),
    "unprocessable": (422, LEAK),
    "no such model": (404, f"The model `x` does not exist. {LEAK}"),
    "ending": (500, f"cannot schedule new futures after shutdown {LEAK}"),
    "bad gateway": (502, LEAK),
    "full": (503, LEAK),
    "another key": (401, "Unauthorized"),
}
"""Status and text of an error, by the name that a test gives it."""


@dataclass
class Engine:
    """The server; what it is to do may be changed at any time."""

    url: str = ""
    plan: list[str] = field(default_factory=list)
    """How the next answers come; after that `always`."""
    always: str = "whole"
    healthy: bool = True
    says_digest: bool = True
    silent: bool = False
    """Whether connections are taken and nothing is said any more."""
    drops_kept: bool = False
    """Whether it closes a kept connection without a word just as the next question comes on it: its time was over."""
    warm: bool = True
    """Whether the gateway's own first question is answered, whatever the plan says."""
    bodies: list[dict] = field(default_factory=list)
    """What clients have asked, without the gateway's own questions."""
    headers: list[dict[str, str]] = field(default_factory=list)
    own: list[dict] = field(default_factory=list)
    """The gateway's own questions."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set when somebody has left before an answer came."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """Set by a test to have held answers come."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self) -> str:
        with self.lock:
            return self.plan.pop(0) if self.plan else self.always


@contextmanager
def engine_double(*plan: str, always: str = "whole") -> Iterator[Engine]:
    """The server, running.

    Args:
        plan: How the first answers come: a name from `REFUSALS`, or whole, aborted, error, too few, half, page, dropped, hangs,
            slow (a second), held (until `go_on` is set), closes (the connection, without a word, after a whole answer).
        always: How all further ones come.
    """
    told = Engine(plan=list(plan), always=always)

    class Answering(Handler):
        protocol_version = "HTTP/1.1"
        is_kept = False

        def digest(self) -> dict[str, str]:
            return {"X-Globe-Model": DIGEST} if told.says_digest else {}

        def do_GET(self) -> None:
            self.is_kept = True
            if told.silent:
                self.await_leaving()
            elif self.path == "/health":
                self.send(200 if told.healthy else 503, b"")
            else:
                card = {"id": "globe", "root": "/secret/folder", "max_model_len": MAX_MODEL_LEN}
                self.send(200, json.dumps({"data": [card]}).encode())

        def do_POST(self) -> None:
            if told.drops_kept and self.is_kept:
                self.close_connection = True
                return
            self.is_kept = True
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["X-Request-Id"] == "watch":
                told.own.append(body)
                step = "whole" if told.warm else told.always
            else:
                told.bodies.append(body)
                told.headers.append({name.lower(): value for name, value in self.headers.items()})
                step = told.step()
            step = "hangs" if told.silent else step
            self.answer(step, body)

        def answer(self, step: str, body: dict) -> None:
            if step in REFUSALS:
                status, text = REFUSALS[step]
                self.send(status, json.dumps({"error": {"message": text, "type": "x", "code": status}}).encode())
            elif step == "page":
                self.send(200, b"<!DOCTYPE html><html>Bad gateway</html>")
            elif step == "dropped":
                self.close_connection = True
            elif step == "hangs":
                self.await_leaving()
            else:
                if step == "held":
                    told.go_on.wait(60)
                time.sleep(1 if step == "slow" and not body.get("stream") else 0)
                (self.stream if body.get("stream") else self.whole)(step, body)
                self.close_connection |= step == "closes"

        def whole(self, step: str, body: dict) -> None:
            count = (body.get("n") or 1) - (step == "too few")
            end = {"aborted": "abort", "error": "error"}.get(step, "stop")
            choices = [{"index": index, "message": message(), "logprobs": None} for index in range(count)]
            for choice in choices:
                choice |= {"finish_reason": end, "stop_reason": None, "token_ids": None}
            document = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
            document |= {"choices": choices, "usage": USAGE, "system_fingerprint": "vllm-0.32.0", "prompt_token_ids": None}
            data = json.dumps(document).encode()
            self.send(200, data[: len(data) // 2] if step == "half" else data, length=len(data))
            self.close_connection |= step == "half"

        def stream(self, step: str, body: dict) -> None:
            self.send_response(200)
            for name, value in {"Content-Type": "text/event-stream", "Connection": "close", **self.digest()}.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = True
            words = WORDS[:1] if step in ("half", "aborted", "error") else WORDS
            try:
                for word in words:
                    self.event(chunk(body["model"], {"content": word}))
                    time.sleep(0.3 if step == "slow" else 0)
                if step == "error":
                    self.event({"error": {"message": LEAK, "code": 500}})
                elif step == "stalls":
                    self.await_leaving()
                elif step != "half":
                    self.event(chunk(body["model"], {"content": ""}, "abort" if step == "aborted" else "stop"))
                if step not in ("half", "stalls"):
                    if (body.get("stream_options") or {}).get("include_usage"):
                        self.event(chunk(body["model"], {}) | {"choices": [], "usage": USAGE})
                    self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                told.left.set()

        def event(self, document: dict) -> None:
            self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())
            self.wfile.flush()

        def await_leaving(self) -> None:
            self.close_connection = True
            if not self.rfile.read(1):
                told.left.set()

        def send(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_body(status, "application/json", body, self.digest(), length)

    with http_server(Answering) as url:
        told.url = url
        yield told


def message() -> dict:
    """What the engine says."""
    return {"role": "assistant", "content": "".join(WORDS), "refusal": None, "annotations": None, "reasoning": None}


def chunk(model: str, delta: dict, end: str | None = None) -> dict:
    """A piece of a stream."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end, "token_ids": None}
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    return told | {"choices": [choice], "prompt_token_ids": None}
