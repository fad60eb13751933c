"""What is wrong with a request, in one sentence that names the field and quotes nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from globe.console import one_line
from globe.gateway.refused import Refused

_MAX_NAME_CHARS = 60
_VARIANTS = ("str", "text", "image_url", "system", "developer", "user", "assistant", "constrained-str")
"""What pydantic puts into a field's path to say which of several kinds it tried."""


def invalid(errors: Sequence[Mapping[str, Any]]) -> Refused:
    """The deepest of pydantic's errors, without what the client sent: where several kinds may stand, each tells why not."""
    error = max(errors, key=lambda error: len(error["loc"]))
    path = [part for part in error["loc"] if part not in ("body", "query", "path", "header") or len(error["loc"]) == 1]
    if error["type"] == "json_invalid":
        return Refused(400, "the body is not JSON", "not_json")
    field = _path(path)
    if error["type"] == "extra_forbidden":
        return Refused(400, f"{field}: there is no such field here", "unknown_field", param=field)
    if error["type"].startswith("union_tag"):
        return Refused(400, f"{field}: a kind that is not taken here", "unknown_kind", param=field)
    why = str(error["msg"]).removeprefix("Value error, ")
    return Refused(400, one_line(f"{field}: {why}" if field else why), "invalid_request", param=field)


def _path(parts: Sequence[Any]) -> str:
    told = ""
    for part in parts:
        if isinstance(part, int):
            told += f"[{part}]"
        elif part not in _VARIANTS and not str(part).startswith(("list[", "function-", "constrained")):
            told += f"{'.' if told else ''}{one_line(str(part))[:_MAX_NAME_CHARS]}"
    return told
