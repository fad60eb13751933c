"""Graded by kilometres: 1 up to 1 km, then falling with the logarithm-like steps of the field's thresholds.

Piecewise linear through (1 km, 1), (25, .8), (200, .6), (750, .4), (2500, .2), then 0 (the shape REVERSE trains with).
Country-safe: an answer in the right country earns at least 0.2 and one in a wrong country at most 0.2, so crossing a near
border never pays; an answer whose city is not found earns what the right country alone is worth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from math import sin
from typing import Any

from globe.errors import InputError
from globe.geo.distance import distance_km, haversine
from globe.geo.places import Match, find_place
from globe.rewards.accuracy import judge, true_place
from globe.rewards.score import Score, Truth, read, refuse, row_name, truth_of

KNOTS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
KNOT_SCORES = (1.0, 0.8, 0.6, 0.4, 0.2)
COUNTRY_SCORE = 0.2


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Distance reward of an answer's place to the row's position (or, without one, to its city)."""
    truth = truth_of(row)
    lat, lon = _position(truth, row)
    reading = read(completion)
    refusal = reading.broken or refuse(reading.answer)
    if refusal:
        return Score(0.0, refusal)
    answer = reading.answer
    return _scored(answer.country, answer.city, answer.region, truth, lat, lon)


def _position(truth: Truth, row: Mapping[str, Any]) -> tuple[float, float]:
    if truth.lat_deg is not None and truth.lon_deg is not None:
        return truth.lat_deg, truth.lon_deg
    there = true_place(truth)
    if there.match not in ("exact", "alias") or there.lat_deg is None or there.lon_deg is None:
        raise InputError(f"{row_name(row)}: the distance reward needs solution.lat_deg and lon_deg, or a city it can find")
    return there.lat_deg, there.lon_deg


@lru_cache(maxsize=8192)
def _scored(country: str | None, city: str | None, region: str | None, truth: Truth, lat: float, lon: float) -> Score:
    """A row's answers repeat within its group and from step to step."""
    country_right, place = _place(country, city, region, truth)
    if place.lat_deg is None or place.lon_deg is None:
        if country_right:
            return Score(COUNTRY_SCORE, "country right, city not found")
        return Score(0.0, "place not found" if place.match == "none" else "wrong country, city not found")
    km = distance_km(place.lat_deg, place.lon_deg, lat, lon)
    value = graded(km)
    if country_right:
        return Score(max(value, COUNTRY_SCORE), f"{km:.1f} km away, right country")
    return Score(min(value, COUNTRY_SCORE), f"{km:.1f} km away, wrong country")


@lru_cache(maxsize=8192)
def _value(country: str | None, city: str | None, region: str | None, truth: Truth, lat: float, lon: float) -> float:
    """The score of :func:`_scored` alone: for a place in a wrong country or far off, a rough distance decides it."""
    country_right, place = _place(country, city, region, truth)
    if place.lat_deg is None or place.lon_deg is None:
        return COUNTRY_SCORE if country_right else 0.0
    rough = haversine(place.lat_deg, place.lon_deg, lat, lon)
    if rough > _BEYOND:
        return COUNTRY_SCORE if country_right else 0.0
    if rough < _WITHIN and not country_right:
        return COUNTRY_SCORE
    value = 1.0 if rough < _THERE else graded(distance_km(place.lat_deg, place.lon_deg, lat, lon))
    return max(value, COUNTRY_SCORE) if country_right else min(value, COUNTRY_SCORE)


def _place(country: str | None, city: str | None, region: str | None, truth: Truth) -> tuple[bool, Match]:
    """Whether the country is right, and the answer's place; without a position when its city is not found."""
    country_right, city_right = judge(country, city, region, truth)
    place = true_place(truth) if city_right else find_place(city, country, region)
    return country_right, place if place.match in ("exact", "alias") else place._replace(lat_deg=None, lon_deg=None)


# The ellipsoid's distances differ from the mean sphere's (6371 km) by at most 0.6%: 1% to either side is safe.
_BEYOND, _WITHIN = (sin(KNOTS_KM[-1] * share / 6371.0 / 2) ** 2 for share in (1.01, 0.99))
_THERE = sin(KNOTS_KM[0] * 0.99 / 6371.0 / 2) ** 2


def graded(km: float) -> float:
    """The reward of a distance in km, before the country is looked at."""
    if km <= KNOTS_KM[0]:
        return 1.0
    if km > KNOTS_KM[-1]:
        return 0.0
    i = bisect_left(KNOTS_KM, km)
    share = (km - KNOTS_KM[i - 1]) / (KNOTS_KM[i] - KNOTS_KM[i - 1])
    return KNOT_SCORES[i - 1] + share * (KNOT_SCORES[i] - KNOT_SCORES[i - 1])
