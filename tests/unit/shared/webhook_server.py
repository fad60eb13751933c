"""A webhook over real HTTP that keeps what it gets; a test says how it answers."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from local_server import http_server

Answer = tuple[int, dict[str, str], str]
OK: Answer = (200, {}, "ok")


@dataclass
class WebhookServer:
    """What has arrived."""

    url: str = ""
    notices: list[dict] = field(default_factory=list)
    """The bodies."""
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)


@contextmanager
def webhook_server(answer: Callable[[int], Answer | None] = lambda number: OK) -> Iterator[WebhookServer]:
    """The server, running.

    Args:
        answer: Says how the n-th request (from 1) is answered; None to hang up without a word.
    """
    told = WebhookServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.times_s.append(time.monotonic())
            told.notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            told.headers.append(dict(self.headers))
            told.paths.append(self.path)
            said = answer(len(told.notices))
            if said is None:
                self.close_connection = True
                return
            status, headers, text = said
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST

        def log_message(self, *arguments: object) -> None:
            pass

    with http_server(Handler) as url:
        told.url = url
        yield told
