"""What a gateway knows about vLLM's own server: its key, and what its refusals mean."""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Mapping

from globe.gateway.refused import Refused
from globe.serving.guard import KEY_FILE_VARIABLE, KEY_VARIABLE, read_key

_NO_ROOM = re.compile(rb"context length|max_model_len|max_tokens|max_completion_tokens|too long|longer than")
_SCHEMA = re.compile(rb"grammar|json.?schema|structured.?output", re.IGNORECASE)
_OURS = (400, 404, 413, 415, 422, 429, 504)
"""What a replica's gateway says about a request, and what no other one would see otherwise."""
_MAX_TOLD_CHARS = 300


class Elsewhere(Exception):
    """This replica cannot answer just now; another may."""

    def __init__(self, why: str, *, busy: bool = False) -> None:
        super().__init__(why)
        self.busy = busy
        """Whether it has too much to do."""


class EngineKey:
    """The key of the engine's server, which the gateways of all replicas have and no client has."""

    def __init__(self) -> None:
        """Read it from where the engine reads it; there may be none.

        Raises:
            InputError: Its file cannot be read, or is empty.
        """
        self._key = read_key() if os.environ.get(KEY_FILE_VARIABLE) or os.environ.get(KEY_VARIABLE) else b""

    @property
    def header(self) -> dict[str, str]:
        """What a request to the engine carries."""
        return {"Authorization": f"Bearer {self._key.decode()}"} if self._key else {}

    def proof(self, body: bytes) -> str:
        """What shows another gateway that one of them has written a body: its HMAC; empty without a key."""
        return hmac.new(self._key, body, "sha256").hexdigest() if self._key else ""

    def proves(self, body: bytes, proof: str | None) -> bool:
        """Whether a proof is right."""
        return bool(self._key and proof) and hmac.compare_digest(self.proof(body).encode(), str(proof).encode())


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, own: bool) -> Exception:
    """What a status other than 200 means.

    Args:
        status: The status.
        headers: The answer's.
        body: The answer's. An engine's quotes requests and its own code, so nothing of it is passed on.
        own: Whether an engine has answered, and not another replica's gateway.

    Returns:
        `Refused` if the request itself is at fault, else `Elsewhere`.
    """
    if not own:
        return _of_a_gateway(status, headers, body)
    if status == 404:
        return Refused(404, "there is no such model here; GET /v1/models lists what there is", "model_not_found", param="model")
    if status in (400, 413, 422):
        if _SCHEMA.search(body):
            return Refused(400, "the model cannot follow this schema", "bad_schema", param="response_format")
        if _NO_ROOM.search(body):
            why = "question, picture and max_tokens together are more than the model can read; shorten the text or ask for less"
            return Refused(400, why, "context_length_exceeded")
        return Refused(400, "the model cannot take this request", "not_possible")
    if status in (401, 403):
        return Elsewhere(f"status {status}: the engine does not take this gateway's key")
    return Elsewhere(f"status {status}", busy=status in (429, 503))


def _of_a_gateway(status: int, headers: Mapping[str, str], body: bytes) -> Exception:
    if status not in _OURS:
        return Elsewhere(f"status {status}", busy=status == 503)
    try:
        told = json.loads(body)["error"]
        message, code, param = str(told["message"])[:_MAX_TOLD_CHARS], str(told["code"])[:60], str(told["param"] or "")[:60]
        wait_s = float(headers["Retry-After"]) if "Retry-After" in headers else None
    except (ValueError, TypeError, LookupError, RecursionError):
        return Elsewhere(f"status {status} from something that is no gateway")
    return Refused(status, message, code, param=param, retry_after_s=wait_s)
