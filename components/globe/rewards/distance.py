"""Graded by kilometres: 1 up to 1 km, then falling with the logarithm-like steps of the field's thresholds.

Piecewise linear through (1 km, 1), (25, .8), (200, .6), (750, .4), (2500, .2), then 0 (the shape REVERSE trains with).
Country-safe: an answer in the right country earns at least 0.2 and one in a wrong country at most 0.2, so crossing a near
border never pays; an answer whose city is not found earns what the right country alone is worth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from globe.errors import InputError
from globe.geo.distance import distance_km
from globe.geo.places import find_place
from globe.rewards.accuracy import judge, refuse, true_place
from globe.rewards.score import Score, Truth, read, row_name, truth_of

KNOTS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
KNOT_SCORES = (1.0, 0.8, 0.6, 0.4, 0.2)
COUNTRY_SCORE = 0.2


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Distance reward of an answer's place to the row's position (or, without one, to its city)."""
    truth = truth_of(row)
    lat, lon = truth.lat_deg, truth.lon_deg
    if lat is None or lon is None:
        there = true_place(truth)
        if there.match not in ("exact", "alias"):
            raise InputError(f"{row_name(row)}: the distance reward needs solution.lat_deg and lon_deg, or a city it can find")
        lat, lon = there.lat_deg, there.lon_deg
    reading = read(completion)
    refusal = reading.broken or refuse(reading.answer)
    if refusal:
        return Score(0.0, refusal)
    answer = reading.answer
    return _scored(answer.country, answer.city, answer.region, truth, lat, lon)


@lru_cache(maxsize=8192)
def _scored(
    country: str | None, city: str | None, region: str | None, truth: Truth, lat: float | None, lon: float | None
) -> Score:
    """A row's answers repeat within its group and from step to step."""
    country_right, city_right = judge(country, city, region, truth)
    place = true_place(truth) if city_right else find_place(city, country, region)
    if place.match not in ("exact", "alias") or place.lat_deg is None or place.lon_deg is None:
        if country_right:
            return Score(COUNTRY_SCORE, "country right, city not found")
        return Score(0.0, "place not found" if place.match == "none" else "wrong country, city not found")
    km = distance_km(place.lat_deg, place.lon_deg, lat, lon)  # type: ignore[arg-type]
    value = graded(km)
    if country_right:
        return Score(max(value, COUNTRY_SCORE), f"{km:.1f} km away, right country")
    return Score(min(value, COUNTRY_SCORE), f"{km:.1f} km away, wrong country")


def graded(km: float) -> float:
    """The reward of a distance in km, before the country is looked at."""
    if km <= KNOTS_KM[0]:
        return 1.0
    if km > KNOTS_KM[-1]:
        return 0.0
    i = bisect_left(KNOTS_KM, km)
    share = (km - KNOTS_KM[i - 1]) / (KNOTS_KM[i] - KNOTS_KM[i - 1])
    return KNOT_SCORES[i - 1] + share * (KNOT_SCORES[i] - KNOT_SCORES[i - 1])
