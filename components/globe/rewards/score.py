"""What every reward shares: the score with its reason, and reading a completion and a row once for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from globe.answer.parse import Answer, parse
from globe.entities.words import tokenize
from globe.errors import InputError
from globe.geo.distance import valid_position
from globe.geo.verdict import Truth

MAX_COMPLETION_CHARS = 60_000
"""A completion longer than this (some 15,000 tokens) is broken and earns nothing."""


class Score(NamedTuple):
    """A reward in [0, 1] and, in a few words, why."""

    score: float
    reason: str


class Reading(NamedTuple):
    """A completion, parsed."""

    answer: Answer
    words: list[str]
    """Lower-case words of its reasoning, in order."""
    broken: str
    """Why it cannot be judged at all; empty when it can."""


def broken(completion: Any) -> str:
    """Why a completion cannot be judged at all; empty when it can."""
    if not isinstance(completion, str):
        return f"the completion is {type(completion).__name__}, not text"
    return "" if len(completion) <= MAX_COMPLETION_CHARS else f"the completion is longer than {MAX_COMPLETION_CHARS} characters"


def read(completion: Any) -> Reading:
    """Parses a completion."""
    reason = broken(completion)
    return Reading(Answer(), [], reason) if reason else _read(completion)


@lru_cache(maxsize=128)  # several rewards judge the same completions, one reward after the other
def _read(completion: str) -> Reading:
    answer = parse(completion)
    return Reading(answer, [token for token in tokenize(answer.reasoning or "") if token not in (".", ",")], "")


def row_name(row: Any) -> str:
    """How an error names a row: its id, when it has one."""
    found = row.get("id") if isinstance(row, Mapping) else None
    return f"row {found!r}" if found not in (None, "") else "row"


def truth_of(row: Mapping[str, Any]) -> Truth:
    """The row's solution.

    Raises:
        InputError: the row is broken; the message names the row and the field.
    """
    solution = row.get("solution") if type(row) is dict or isinstance(row, Mapping) else None
    if type(solution) is not dict and not isinstance(solution, Mapping):
        raise InputError(f"{row_name(row)}: solution is missing; give {{country, city, lat_deg, lon_deg}}")
    try:
        return _truth(solution.get("country"), solution.get("city"), solution.get("lat_deg"), solution.get("lon_deg"))
    except InputError as error:
        raise InputError(f"{row_name(row)}: {error}") from None
    except TypeError:
        raise InputError(f"{row_name(row)}: a field of solution is neither text nor number") from None


@lru_cache(maxsize=8192, typed=True)
def _truth(country: Any, city: Any, lat: Any, lon: Any) -> Truth:
    if not isinstance(country, str) or not country.strip():
        raise InputError("solution.country is missing or not text")
    if city is not None and not isinstance(city, str):
        raise InputError("solution.city is not text (leave it empty when unknown)")
    if lat is None and lon is None:
        return Truth(country, (city or "").strip(), None, None)
    if not _number(lat) or not _number(lon) or not valid_position(lat, lon):
        swapped = "; are they swapped?" if _number(lat) and _number(lon) and valid_position(lon, lat) else ""
        raise InputError(f"solution.lat_deg {lat!r}, lon_deg {lon!r} is no position (degrees, +-90 and +-180){swapped}")
    return Truth(country, (city or "").strip(), float(lat), float(lon))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def entities_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The row's entities: texts, or structs with a ``text`` as the original's dataset has them.

    Raises:
        InputError: the row has no list of entities.
    """
    found = row.get("entities") if isinstance(row, Mapping) else None
    if found is None or isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise InputError(f"{row_name(row)}: entities is missing or not a list of texts")
    texts: tuple[Any, ...] = tuple(entity.get("text") if isinstance(entity, Mapping) else entity for entity in found)
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{row_name(row)}: entities holds {text!r}, which is not text")
    return texts
