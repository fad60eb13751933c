"""Graded by kilometres: 1 up to 1 km, then falling with the logarithm-like steps of the field's thresholds.

Piecewise linear through (1 km, 1), (25, .8), (200, .6), (750, .4), (2500, .2), then 0 (the shape REVERSE trains with).
Country-safe: an answer in the right country earns at least 0.2 and one in a wrong country at most 0.2, so crossing a near
border never pays; an answer whose city is not found earns what the right country alone is worth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from globe.answer.locate import refuse
from globe.errors import InputError
from globe.geo.distance import THRESHOLDS_KM, distance_km
from globe.geo.verdict import Truth, judge, true_place
from globe.rewards.score import Score, read, row_name, truth_of

KNOTS_KM = THRESHOLDS_KM
KNOT_SCORES = (1.0, 0.8, 0.6, 0.4, 0.2)
COUNTRY_SCORE = 0.2


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Distance reward of an answer's place to the row's position (or, without one, to its city)."""
    truth = truth_of(row)
    position_deg = _position_deg(truth, row)
    reading = read(completion)
    refusal = reading.broken or refuse(reading.answer)
    if refusal:
        return Score(0.0, refusal)
    answer = reading.answer
    country_right, _, place = judge(truth, answer.country, answer.city, answer.region)
    if place.city_position_deg is None:
        if country_right:
            return Score(COUNTRY_SCORE, "country right, city not found")
        return Score(0.0, "place not found" if place.match == "none" else "wrong country, city not found")
    km = distance_km(*place.city_position_deg, *position_deg)
    if country_right:
        return Score(max(graded(km), COUNTRY_SCORE), f"{km:.1f} km away, right country")
    return Score(min(graded(km), COUNTRY_SCORE), f"{km:.1f} km away, wrong country")


def _position_deg(truth: Truth, row: Mapping[str, Any]) -> tuple[float, float]:
    position_deg = truth.position_deg or true_place(truth).city_position_deg
    if position_deg is None:
        raise InputError(f"{row_name(row)}: the distance reward needs solution.lat_deg and lon_deg, or a city it can find")
    return position_deg


def graded(km: float) -> float:
    """The reward of a distance in km, before the country is looked at."""
    if km <= KNOTS_KM[0]:
        return 1.0
    if km > KNOTS_KM[-1]:
        return 0.0
    i = bisect_left(KNOTS_KM, km)
    share = (km - KNOTS_KM[i - 1]) / (KNOTS_KM[i] - KNOTS_KM[i - 1])
    return KNOT_SCORES[i - 1] + share * (KNOT_SCORES[i] - KNOT_SCORES[i - 1])
