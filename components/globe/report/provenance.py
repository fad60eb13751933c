"""What was asked, of which model, about which pictures, and how long it took."""

from collections.abc import Mapping, Sequence
from typing import Any

from globe.report.accuracy import Evaluated
from globe.report.text import ABSENT, clean, count, duration, number, words

LONG_VALUE = 160
"""A setting with more characters, such as a prompt, is folded away."""
LONGEST_VALUE = 6000
TITLES = {
    "sha256": "SHA-256",
    "url": "URL",
    "p50": "median",
    "p95": "95th percentile",
    "wall_s": "took",
    "images_per_s": "pictures a second",
    "latency_s": "time for an answer",
    "first_token_s": "time to the first token",
    "token_s": "time for each further token",
    "failed_calls": "calls failed",
    "retried": "calls repeated",
}


def provenance(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """Data set, settings and timing of the evaluations, one column each; None if none of it was recorded."""
    found = {
        "names": [{"name": e.name, "series": e.series} for e in evaluations],
        "data": _table([_dataset(_part(e, "dataset")) for e in evaluations]),
        "settings": _table([{_title(key): _setting(value) for key, value in _part(e, "manifest").items()} for e in evaluations]),
        "timing": _table([_timing(_part(e, "timing")) for e in evaluations]),
    }
    return found if found["data"] or found["settings"] or found["timing"] else None


def _part(evaluation: Evaluated, name: str) -> Mapping[str, Any]:
    found = evaluation.view.metrics.get(name)
    return found if isinstance(found, dict) else {}


def _table(columns: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Rows with a value for each evaluation; `differs` where these are not all the same."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = []
    for name in names:
        values = [column.get(name, ABSENT) for column in columns]
        long = [len(value) > LONG_VALUE or "\n" in value for value in values]
        cells = [{"text": value, "long": is_long} for value, is_long in zip(values, long, strict=True)]
        rows.append({"name": name, "cells": cells, "differs": len(set(values)) > 1})
    return rows


def _title(key: str) -> str:
    return TITLES.get(key) or " ".join(TITLES.get(part, part) for part in words(key).split())


def _setting(value: Any) -> str:
    if value is None or value == "":
        return ABSENT
    if isinstance(value, dict):
        return "; ".join(f"{words(key)}: {clean(item)}" for key, item in value.items())[:LONGEST_VALUE]
    return clean(value, LONGEST_VALUE)


def _dataset(found: Mapping[str, Any]) -> dict[str, str]:
    """What the data set's completeness report says."""
    rows: dict[str, str] = {}
    for key, value in found.items():
        if key == "unusable" and isinstance(value, dict):
            rows["not usable"] = ", ".join(_unusable(reason, one) for reason, one in value.items()) or "0"
        elif number(value) is not None:
            rows[_title(key)] = count(value)
        else:
            rows[_title(key)] = _setting(value)
    return rows


def _unusable(reason: str, found: Any) -> str:
    """How many rows could not be used for a reason, and which was the first."""
    first = found.get("first") if isinstance(found, dict) else None
    named = f" (the first: {clean(first[0], 60)})" if isinstance(first, list) and first else ""
    return f"{count(found.get('n') if isinstance(found, dict) else found)} {words(reason)}{named}"


def _timing(found: Mapping[str, Any]) -> dict[str, str]:
    """Durations as people read them; other figures as they are."""
    rows: dict[str, str] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            write = _seconds if key.endswith("_s") else count
            rows[_title(key)] = ", ".join(f"{_title(part)} {write(one)}" for part, one in value.items()) or ABSENT
        elif key.endswith("per_s"):
            rate = number(value)
            rows[_title(key)] = ABSENT if rate is None else f"{rate:,.2f}"
        else:
            rows[_title(key)] = duration(value) if key.endswith("_s") else count(value)
    return rows


def _seconds(value: Any) -> str:
    """Seconds, or milliseconds where there is less than one."""
    figure = number(value)
    if figure is not None and figure < 1:
        return f"{1000 * figure:,.0f} ms"
    return duration(value)
