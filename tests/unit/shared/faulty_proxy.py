"""A proxy in front of a real teacher that fails as proxies and servers do, over real HTTP: when, and how, is up to a test."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from local_server import Handler, http_server

PAGE = b"<!DOCTYPE html><html><body>502 Bad Gateway: sign in to continue</body></html>"
FAULTS = (
    "hangs",
    "429",
    "429 at once",
    "500",
    "503",
    "reset",
    "cut",
    "half a body",
    "prose",
    "no content",
    "nothing",
    "page",
    "odd",
)
HANGS_S = 3.0


class FaultyProxy:
    """What it was asked, and what it let through.

    Attributes:
        url: Its base URL, in place of the teacher's.
        fault: Which fault a call meets, by its number from 0; empty for none.
        calls: How many calls there were.
        passed: How often each request reached the teacher and its answer came back whole, by path and body.
    """

    def __init__(self, fault: Callable[[int], str]) -> None:
        self.url = ""
        self.fault = fault
        self.calls = 0
        self.passed = Counter[tuple[str, bytes]]()
        self.lock = threading.Lock()


@contextmanager
def faulty_proxy(teacher_url: str, fault: Callable[[int], str] = lambda number: "") -> Iterator[FaultyProxy]:
    """The proxy, running.

    Args:
        teacher_url: Base URL of the teacher, ending in /v1.
        fault: As in `FaultyProxy`.
    """
    proxy = FaultyProxy(fault)
    place = urlsplit(teacher_url)

    class Proxied(Handler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            """Pass a question about the server itself on; it is no call, and no fault is in its way."""
            status, told = self.teacher()
            self.send_body(status, "application/json", told)

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            with proxy.lock:
                met = proxy.fault(proxy.calls)
                proxy.calls += 1
            if met in ("", "cut", "half a body"):
                status, told = self.teacher(asked)
                if met == "half a body":
                    self.send_body(status, "application/json", told, length=2 * len(told))
                    self.close_connection = True
                    return
                if met == "cut":
                    told = cut(told)
                self.send_body(status, "application/json", told)
                if not met:
                    with proxy.lock:
                        proxy.passed[self.path, asked] += 1
                return
            self.fail(met)

        def teacher(self, asked: bytes | None = None) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
            try:
                connection.request(self.command, self.path, asked, {"Content-Type": "application/json"})
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()

        def fail(self, met: str) -> None:
            if met == "hangs":
                time.sleep(HANGS_S)
                self.close_connection = True
            elif met == "reset":
                self.close_connection = True
            elif met == "429":
                self.send_body(429, "application/json", b'{"error": {"message": "slow down"}}', {"Retry-After": "1"})
            elif met == "429 at once":
                self.send_body(429, "application/json", b"{}")
            elif met in ("500", "503"):
                self.send_body(int(met), "text/plain", b"upstream connect error")
            elif met == "prose":
                self.send_body(200, "application/json", completion("I'm sorry, I can't help with identifying places."))
            elif met == "no content":
                self.send_body(200, "application/json", completion(""))
            elif met == "page":
                self.send_body(200, "text/html", PAGE)
            elif met == "odd":
                self.send_body(200, "application/json", b'{"error": "upstream timed out"}')
            else:
                assert met == "nothing", met
                self.send_body(200, "application/json", b"")

    with http_server(Proxied) as url:
        proxy.url = f"{url}{place.path}"
        yield proxy


def completion(content: str) -> bytes:
    """A chat completion."""
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}).encode()


def cut(told: bytes) -> bytes:
    """A completion whose text ends in its middle; of another answer, the first half."""
    document = json.loads(told)
    if "choices" not in document:
        return told[: len(told) // 2]
    content = document["choices"][0]["message"]["content"]
    document["choices"][0] = {"message": {"content": content[: len(content) // 2]}, "finish_reason": "length"}
    return json.dumps(document).encode()
