"""JSON on its way in: what every reader reads alike, and no reader is hurt by.

Readers differ in what they make of a name that stands twice, of NaN, of 1e999 and of bytes that are not UTF-8, and a text of
brackets alone takes some of them down. None of that is in any request that means well.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from globe.gateway.refused import Refused

MAX_DEPTH = 64
"""Of objects and lists in each other; a chat completion has 6, a schema in one perhaps 30."""
MAX_DIGITS = 40
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def json_document(body: bytes) -> Any:
    """What a JSON text says.

    Raises:
        Refused: 400; it is no JSON, not UTF-8, too deep, has a name twice in one object, or a number that is none or too large.
    """
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(body):
        raise Refused(400, f"the JSON is over {MAX_DEPTH} objects and lists deep", "json_too_deep")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "the JSON is not UTF-8", "not_utf8") from None
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except json.JSONDecodeError as error:
        message = f"this is not JSON: {error.msg} at character {error.pos}"
        raise Refused(400, message, "not_json") from None
    except RecursionError:
        raise Refused(400, "the JSON is too deep", "json_too_deep") from None


def _is_deep(body: bytes) -> bool:
    depth = 0
    for token in _TOKEN.finditer(body):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused(400, "the JSON has the same name twice in one object", "duplicate_name")
    return found


def _constant(_: str) -> float:
    raise Refused(400, "the JSON has NaN or Infinity, which are no numbers", "not_a_number")


def _float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise Refused(400, "the JSON has a number that is too large", "number_too_large")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise Refused(400, "the JSON has a number that is too large", "number_too_large")
    return int(text)
