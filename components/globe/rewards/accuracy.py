"""Geo accuracy as the paper has it: R = [country right] · (alpha · [city right] + 1 - alpha), alpha = 0.8 (arXiv 2506.14674).

Right means the same place, whatever it is called (:mod:`globe.geo.places`). A row without a known city is judged on the
country alone and can earn the full reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from globe.geo.normalize import key
from globe.geo.places import NO_MATCH, Match, find_country, find_place, find_place_near, same_country
from globe.rewards.score import Score, Truth, read, refuse, truth_of

ALPHA = 0.8
_COUNTRY_ALONE = round(1.0 - ALPHA, 12)


def score(completion: str, row: Mapping[str, Any], alpha: float = ALPHA) -> Score:
    """Accuracy of an answer: 1 for the right city, 1 - alpha for the right country alone, else 0."""
    truth = truth_of(row)
    reading = read(completion)
    refusal = reading.broken or refuse(reading.answer)
    if refusal:
        return Score(0.0, refusal)
    answer = reading.answer
    return _scored(answer.country, answer.city, answer.region, truth, alpha)


def _value(truth: Truth, country_right: bool, city_right: bool, country_alone: float) -> float:
    if not country_right:
        return 0.0
    return 1.0 if city_right or not truth.city else country_alone


@lru_cache(maxsize=8192)
def _scored(country: str | None, city: str | None, region: str | None, truth: Truth, alpha: float) -> Score:
    """A row's answers repeat within its group and from step to step."""
    country_right, city_right = judge(country, city, region, truth)
    if not country_right:
        reason = f"country {_short(country)} is not {_short(truth.country)}"
    elif not truth.city:
        reason = "country right; no city is known"
    elif city_right:
        reason = "country and city right"
    else:
        reason = f"country right; city {_short(city)} is not {_short(truth.city)}"
    return Score(_value(truth, country_right, city_right, round(1.0 - alpha, 12)), reason)


@lru_cache(maxsize=65536)
def judge(country: str | None, city: str | None, region: str | None, truth: Truth) -> tuple[bool, bool]:
    """Whether country and city of an answer are right."""
    country_right = same_country(country, truth.country)
    if country_right:
        if not truth.city or not city:
            return True, False
        if _key(city) == _key(truth.city) != "":  # the common case needs no place
            return True, True
    place, there = find_place(city, country, region) if city else NO_MATCH, true_place(truth)
    named = place.match in ("exact", "alias")
    if not country_right:
        if not named or place.country_code is None or place.country_code != _code(truth, there):
            return False, False
        if truth.city and _key(city or "") == _key(truth.city) != "":
            return True, True
    return True, bool(truth.city) and named and place.geonames_id is not None and place.geonames_id == there.geonames_id


_key = lru_cache(maxsize=8192)(key)


@lru_cache(maxsize=65536)
def true_place(truth: Truth) -> Match:
    """The place of a truth: among homonyms the one nearest to its coordinates, when it has them."""
    if not truth.city:
        return NO_MATCH
    if truth.lat_deg is None or truth.lon_deg is None:
        return find_place(truth.city, truth.country)
    return find_place_near(truth.city, truth.country, truth.lat_deg, truth.lon_deg)


def _code(truth: Truth, there: Match) -> str | None:
    if there.match in ("exact", "alias"):
        return there.country_code
    country = find_country(truth.country)
    return country.code if country else None


def _short(text: str | None) -> str:
    return "(none)" if not text else text if len(text) <= 60 else text[:57] + "..."
