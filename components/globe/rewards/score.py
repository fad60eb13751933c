"""What every reward shares: the score with its reason, and reading a completion and a row once for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from globe.answer.parse import Answer, parse
from globe.errors import InputError
from globe.geo.distance import valid_position
from globe.geo.verdict import Truth

MAX_COMPLETION_CHARS = 60_000
"""A completion longer than this (some 15,000 tokens) is broken and earns nothing."""
CACHED_CHARS = 20_000
"""Longer ones are rare, and not worth keeping in memory."""


class Score(NamedTuple):
    """A reward in [0, 1] and, in a few words, why."""

    score: float
    reason: str


class Reading(NamedTuple):
    """A completion, parsed: the answer, and the words and punctuation of its reasoning."""

    answer: Answer
    tokens: list[str]
    """Lower-case words in order, with "." and "," where clauses end."""
    kinds: frozenset[str]
    """The different tokens."""
    words: int
    """How many of the tokens are words."""
    broken: str
    """Why it cannot be judged at all; empty when it can."""


def broken(completion: Any) -> str:
    """Why a completion cannot be judged at all; empty when it can."""
    if not isinstance(completion, str):
        return f"the completion is {type(completion).__name__}, not text"
    return "" if len(completion) <= MAX_COMPLETION_CHARS else f"the completion is longer than {MAX_COMPLETION_CHARS} characters"


def read(completion: Any) -> Reading:
    """Parses a completion; equal ones are parsed once, because several rewards judge the same text."""
    reason = broken(completion)
    if reason:
        return Reading(Answer(), [], frozenset(), 0, reason)
    return _read_cached(completion) if len(completion) <= CACHED_CHARS else _read(completion)


def _read(completion: str) -> Reading:
    answer = parse(completion)
    text = _plain(answer.reasoning) if answer.reasoning else ""
    tokens = _split(text)
    kinds = frozenset(tokens)
    words = len(tokens) - text.count(".") - text.count(",")
    return Reading(answer, tokens, kinds, words, "")


_read_cached = lru_cache(maxsize=256)(_read)

# One pass over the bytes: separators become blank space, ends of clauses a full stop. UTF-8's other bytes stay themselves.
_SEPARATORS, _STOPS = b'-/"*_()[]`{}<>|\t', b";:!?\n\r"
PLAIN_BYTES = bytes(range(128)).lower().translate(
    bytes.maketrans(_SEPARATORS + _STOPS, b" " * len(_SEPARATORS) + b"." * len(_STOPS))
) + bytes(range(128, 256))
"""What each byte of a text becomes: lower case in the same pass."""
_WIDE_MARKS = (
    ("’", "'"), ("“", " "), ("”", " "), ("–", " "), ("—", " "), ("…", "."), ("。", "."), ("！", "."), ("？", "."), ("；", "."),
    ("：", "."), ("、", ","), ("，", ","), ("‑", " "),
    ("\u200b", ""), ("\u200c", ""), ("\u200d", ""), ("\u2060", ""), ("\ufeff", ""), ("\u00ad", ""),  # invisible within a word
)  # fmt: skip


def tokenize(text: str) -> list[str]:
    """Lower-case words of a text in order, with "." where a sentence or clause ends and "," for commas.

    Made of C-level string methods: several times faster than a regular expression, and linear on any text.
    """
    return _split(_plain(text))


def _plain(text: str) -> str:
    text = text if text.isascii() else plain_wide(text)
    text = text.encode("utf-8", "surrogatepass").translate(PLAIN_BYTES).decode("utf-8", "surrogatepass")
    return text.replace("'s", "") if "'s" in text else text


def plain_wide(text: str) -> str:
    """A text of any script in lower case, its quotes, dashes and ends of sentences written in ASCII."""
    text = text.lower().encode(errors="ignore").decode()  # half characters go: to keep one costs more than 100 others
    for mark, plain in _WIDE_MARKS:
        if mark in text:
            text = text.replace(mark, plain)
    return text


def _split(text: str) -> list[str]:
    return text.replace(".", " . ").replace(",", " , ").split()


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


_TEXT = {str}


def entities_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The row's entities: texts, or structs with a ``text`` as the original's dataset has them.

    Raises:
        InputError: the row has no list of entities.
    """
    found = row.get("entities") if type(row) is dict or isinstance(row, Mapping) else None
    if type(found) is list and set(map(type, found)) <= _TEXT:
        return tuple(found)  # the common case; the checks below cost more than the rest of a reward
    if found is None or isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise InputError(f"{row_name(row)}: entities is missing or not a list of texts")
    texts: tuple[Any, ...] = tuple([e.get("text") if isinstance(e, Mapping) else e for e in found])
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{row_name(row)}: entities holds {text!r}, which is not text")
    return texts
