"""The original repository's accuracy, for parity: 1 for city and country, 0.2 for the country alone, else 0.

Its rule: two names match when one contains the other and is at least 0.7 times as long, case folded. So Niger passes for
Nigeria, and Munich fails for München. Its parser: the first closed answer block, "country:" and "city:" in lower case.
Do not train with it; it is here to compare with published figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from globe.rewards.score import Score, broken, truth_of

LENGTH_RATIO = 0.7
_COUNTRY = re.compile(r"country:\s*([^\n]+)")
_CITY = re.compile(r"city:\s*([^\n]+)")
_OPEN, _CLOSE = "<answer>", "</answer>"


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """The original's reward of a completion."""
    truth = truth_of(row)
    reason = broken(completion)
    if reason:
        return Score(0.0, reason)
    country, city = parse_original(completion)
    if not match_original(country, truth.country):
        return Score(0.0, "country does not match by the original's rule")
    if match_original(city, truth.city):
        return Score(1.0, "country and city match by the original's rule")
    return Score(0.2, "country matches by the original's rule")


def match_original(predicted: str, true: str) -> bool:
    """The original's matching of two names: containment either way, with a length ratio of at least 0.7."""
    if not predicted or not true:  # its ratio would divide by zero for an empty truth; the outcome is no match
        return False
    a, b = predicted.lower(), true.lower()
    ratio = len(predicted) / len(true)
    return (a in b and ratio >= LENGTH_RATIO) or (b in a and 1 / ratio >= LENGTH_RATIO)


def parse_original(completion: str) -> tuple[str, str]:
    """Country and city as the original's reward reads them; empty texts where it finds none."""
    start = completion.find(_OPEN)
    end = completion.find(_CLOSE, start)
    return _fields(completion[start + len(_OPEN) : end]) if 0 <= start < end else ("", "")


def _fields(body: str) -> tuple[str, str]:
    body = body.strip()
    country, city = _COUNTRY.search(body), _CITY.search(body)
    return (country[1].strip().lower() if country else ""), (city[1].strip().lower() if city else "")
