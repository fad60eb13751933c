"""Geo accuracy as the paper has it: R = [country right] · (alpha · [city right] + 1 - alpha), alpha = 0.8 (arXiv 2506.14674).

Right means the same place, whatever it is called (:mod:`globe.geo.verdict`). A row without a known city is judged on the
country alone and can earn the full reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from globe.answer.locate import refuse
from globe.geo.verdict import judge
from globe.rewards.score import Score, read, truth_of

ALPHA = 0.8


def score(completion: str, row: Mapping[str, Any], alpha: float = ALPHA) -> Score:
    """Accuracy of an answer: 1 for the right city, 1 - alpha for the right country alone, else 0."""
    truth = truth_of(row)
    reading = read(completion)
    refusal = reading.broken or refuse(reading.answer)
    if refusal:
        return Score(0.0, refusal)
    answer = reading.answer
    verdict = judge(truth, answer.country, answer.city, answer.region)
    if not verdict.country_right:
        return Score(0.0, f"country {_short(answer.country)} is not {_short(truth.country)}")
    if not truth.city:
        return Score(1.0, "country right; no city is known")
    if verdict.city_right:
        return Score(1.0, "country and city right")
    return Score(round(1.0 - alpha, 12), f"country right; city {_short(answer.city)} is not {_short(truth.city)}")


def _short(text: str | None) -> str:
    return "(none)" if not text else text if len(text) <= 60 else text[:57] + "..."
