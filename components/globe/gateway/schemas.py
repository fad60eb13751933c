"""JSON schemas that clients may have answers follow: only such as vLLM's grammar compiler is done with at once.

It runs in the engine, before anything else goes on there, and a short schema can ask it for a grammar of gigabytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from globe.gateway.refused import Refused

MAX_CHARS = 8_000
MAX_DEPTH = 12
MAX_COUNT = 256
"""The largest `maxItems`, `minLength` and the like: each is spelt out in the grammar."""
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_REFUSED = ("pattern", "patternProperties", "format", "$ref", "$dynamicRef", "$recursiveRef", "$id", "multipleOf")
"""Regular expressions and recursion, whose grammars are unbounded, and what xgrammar makes nothing of."""
_NAMES = ("properties", "$defs", "definitions")
"""Below these, keys are the client's own names."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Check a schema.

    Raises:
        Refused: 400; it is too large, too deep, or has a keyword that is not taken.
    """
    if len(json.dumps(schema)) > MAX_CHARS:
        raise _refused(f"has more than {MAX_CHARS} characters")
    _check(schema, MAX_DEPTH)


def _check(value: Any, depth: int, *, names: bool = False) -> None:
    if not depth:
        raise _refused(f"is deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        for part in value:
            _check(part, depth - 1)
    elif isinstance(value, dict):
        for key, part in value.items():
            if not names and key in _REFUSED:
                raise _refused(f"has {key}, which is not taken here")
            if not names and key in _COUNTS and not (isinstance(part, int) and 0 <= part <= MAX_COUNT):
                raise _refused(f"has a {key} that is not between 0 and {MAX_COUNT}")
            if names or key not in ("enum", "const", "default", "examples"):
                _check(part, depth - 1, names=not names and key in _NAMES)


def _refused(why: str) -> Refused:
    return Refused(400, f"the schema {why}", "bad_schema", param="response_format")
