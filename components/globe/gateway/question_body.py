"""A question's body for the engine, with the picture's data URL put in as it is.

The URL has 4 MB for a megapixel and nothing to escape, since this process has made it of base64. A JSON encoder would look at
each of its characters and copy it twice, which was the largest part of the gateway's work.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"data:image/[a-z]+;base64,")
LONG_CHARS = 4096


def body_of(request: Mapping[str, Any]) -> bytes:
    """The JSON of a request, as `json.dumps` writes it.

    Args:
        request: Its pictures are data URLs that this process has made.
    """
    mark = f"url-{secrets.token_hex(16)}-"  # which no text of a client's holds
    urls: list[bytes] = []

    def without_url(message: Mapping[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        return dict(message) | ({"content": list(map(part, content))} if isinstance(content, list) else {})

    def part(given: Mapping[str, Any]) -> Mapping[str, Any]:
        url = given["image_url"]["url"] if given.get("type") == "image_url" else ""
        if len(url) < LONG_CHARS or not _PLAIN.match(url):
            return given
        urls.append(url.encode("ascii"))
        return dict(given) | {"image_url": dict(given["image_url"]) | {"url": mark}}

    text = json.dumps(dict(request) | {"messages": list(map(without_url, request["messages"]))}).encode()
    pieces = text.split(mark.encode())
    return b"".join(piece for pair in zip(pieces, [*urls, b""], strict=True) for piece in pair)
