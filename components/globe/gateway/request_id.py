"""The name of each request, by which its lines in the logs of gateway and engine are found."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

HEADER = "x-request-id"
CURRENT: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered."""
_USABLE = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def named(told: str | None) -> str:
    """The name that a request brings, if it is a plain one, or else a new one."""
    return told if told and _USABLE.fullmatch(told) else uuid.uuid4().hex
