"""The two teachers of `odd_photos` as a real server: models a and b at one address."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from local_server import JsonHandler, http_server
from odd_photos import reply_about

NAMES = ("a", "b")


def picture_in(body: dict[str, Any]) -> bytes:
    """The picture that a question is about."""
    return b64decode(body["messages"][0]["content"][0]["image_url"]["url"].split(",")[1])


def completion_about(teacher: str, picture: bytes, /, **more: Any) -> bytes:
    """What a teacher answers; `more` stands beside the answer."""
    return json.dumps({"choices": [{"message": {"content": json.dumps(reply_about(teacher, picture))}}], **more}).encode()


@contextmanager
def odd_teachers(answer: Callable[[str, bytes], tuple[int, bytes]]) -> Iterator[str]:
    """The server, while a `with` block lasts; gives its base URL.

    Args:
        answer: From the model and the picture that a question is about to the answer's status and body.
    """

    class Asked(JsonHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.send(200, {"object": "list", "data": [{"id": name} for name in NAMES]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, told = answer(body["model"], picture_in(body))
            self.send_body(status, "application/json", told)

    with http_server(Asked) as url:
        yield f"{url}/v1"
