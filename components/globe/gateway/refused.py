"""What the gateway says instead of an answer: one shape for every error, the one that OpenAI's clients read."""

from __future__ import annotations

import json
import math
from typing import Any

NOTHING_HERE = "there is nothing here; ask /locate, /v1/chat/completions or /v1/models, as /openapi.json describes them"


class Refused(Exception):
    """A request that gets an error as its answer.

    Attributes:
        status: 400 (not understood), 401 (no key), 403, 404, 413 (too large), 415 (another kind), 422 (understood, but not
            possible), 429 (over a key's limit), 503 (not now), 504 (took too long).
        message: For people: what is wrong and what to do. It holds nothing of a picture, a prompt or a key.
        code: For programs: a short snake_case word.
        retry_after_s: When to ask again; required for 429 and 503.
        param: The field that is wrong, if one is.
    """

    def __init__(self, status: int, message: str, code: str, *, retry_after_s: float | None = None, param: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        """The JSON document."""
        kind = "invalid_request_error" if self.status < 500 else "service_unavailable"
        return {"error": {"message": self.message, "type": kind, "code": self.code, "param": self.param or None}}

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After and WWW-Authenticate where they belong."""
        told = {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))} if self.retry_after_s is not None else {}
        return told | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    def written(self, **more: str) -> tuple[dict[str, str], bytes]:
        """All headers and the body, for what answers without the application; further headers have _ for -."""
        body = json.dumps(self.body).encode()
        further = {name.replace("_", "-"): value for name, value in more.items()}
        return {"content-type": "application/json", "content-length": str(len(body)), **further, **self.headers}, body
