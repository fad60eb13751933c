"""A server that keeps what it was shown: as a host, or as the proxy through which somebody reads what goes to another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from local_server import http_server


class Recorder:
    """What came: paths (whole URLs at a proxy) and the authorization of each request."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.keys: list[str | None] = []


@contextmanager
def recorder(status: int = 503, location: str = "", body: str = "") -> Iterator[Recorder]:
    """The server, for as long as a `with` block lasts.

    Args:
        status: Of every answer.
        location: Where every answer redirects to; empty for nowhere.
        body: Of every answer.
    """
    seen = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def handle_all(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.paths.append(self.path)
            seen.keys.append(self.headers.get("Authorization"))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = handle_all

        def log_message(self, *arguments: object) -> None:
            pass

    with http_server(Handler) as url:
        seen.url = url
        yield seen
