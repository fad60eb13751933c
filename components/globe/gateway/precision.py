"""What a gateway tells of a model's answers: all of it, or no more than the region or the country.

Whatever is finer than an operator allows is taken away here, before an answer is written: names and positions are replaced by
those of the region or country that the named place lies in (never by what the model wrote for them), the radius is widened by an
amount that depends on that area alone, and of the reasons only sentences without any place are left. What cannot be placed is not
told at all, for nobody knows how fine it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from globe.answer.locate import locate
from globe.asking.answers import Location
from globe.asking.samples import agree, consistent
from globe.figures.radius import ANYWHERE_KM
from globe.gateway.places import Area, area_of, region_of
from globe.gateway.reasons import coarse_reasons
from globe.gateway.settings import Precision
from globe.geo.match import NO_MATCH, Match

ORDER: tuple[Precision, ...] = ("country", "region", "city")
MAX_NAME_CHARS = 200
MAX_REASONING_CHARS = 20_000
PLACED = ("ok", "not_geocoded")
"""Statuses of answers that name a place."""

RadiusOf = Callable[[Location], tuple[float | None, float | None]]


class Told(NamedTuple):
    """One answer of a model, as far as it may be told."""

    status: str
    country: str = ""
    city: str = ""
    region: str = ""
    level: str = ""
    lat_deg: float | None = None
    lon_deg: float | None = None

    @property
    def place(self) -> tuple[Any, ...]:
        """What tells it from other answers that are told as coarsely."""
        return (self.level, self.country, self.region, self.lat_deg, self.lon_deg)


def coarsest(*given: Precision | None) -> Precision:
    """The coarsest of several limits; None is no limit."""
    return ORDER[min(ORDER.index(one) for one in (*given, "city") if one)]


def told_answer(samples: Sequence[Location], precision: Precision, radius_of: RadiusOf) -> dict[str, Any]:
    """A model's answers to one question as a document, which holds nothing finer than allowed.

    Args:
        samples: The answers in the order of their seeds; those of calls that failed have the status call_failed.
        precision: The finest that may be told.
        radius_of: The calibrated radius of an answer in km and its level in percent, or None for both.
    """
    document = _whole(samples, radius_of) if precision == "city" else _coarse(samples, precision, radius_of)
    answered = sum(one.status != "call_failed" for one in samples)
    return document | {"n": len(samples), "answered": answered, "precision": precision}


def _whole(samples: Sequence[Location], radius_of: RadiusOf) -> dict[str, Any]:
    chosen = consistent(samples)
    others: list[list[Location]] = []
    for one in samples:
        if one.status not in PLACED or agree(one, chosen):
            continue
        same = next((group for group in others if agree(group[0], one)), None)
        if same is None:
            others.append([one])
        else:
            same.append(one)
    others.sort(key=len, reverse=True)
    alternatives = [_alternative(_as_told(group[0]), len(group) / len(samples)) for group in others]
    confidence = chosen.confidence if chosen.agreement is None else chosen.agreement
    reasoning = chosen.reasoning[:MAX_REASONING_CHARS]
    shortened = len(chosen.reasoning) > MAX_REASONING_CHARS
    return _document(_as_told(chosen), reasoning, shortened, confidence, radius_of(chosen), alternatives)


def _coarse(samples: Sequence[Location], precision: Precision, radius_of: RadiusOf) -> dict[str, Any]:
    areas = [area_of(_match(one), region=precision == "region") for one in samples]
    told = [_coarse_told(one, area) for one, area in zip(samples, areas, strict=True)]
    votes = Counter(one.place for one in told if one.country)
    # As `consistent` chooses: the most votes, then any answer rather than none, then the earlier one.
    best = max(range(len(told)), key=lambda at: (votes[told[at].place], samples[at].status != "call_failed", -at))
    chosen = told[best]
    confidence = samples[best].confidence if len(samples) == 1 else votes[chosen.place] / len(samples)
    seen, alternatives = {chosen.place}, []
    for place, count in votes.most_common():
        if place not in seen:
            other = next(one for one in told if one.place == place)
            alternatives.append(_alternative(other, count / len(samples)))
    reasoning, shortened = "", bool(samples[best].reasoning)
    if chosen.country:
        codes = {area.country_code for area in areas if area}
        reasoning, shortened = coarse_reasons(samples[best].reasoning, codes)
    radius = _coarse_radius(samples, areas, areas[best], radius_of)
    confidence = confidence if chosen.country else None
    return _document(chosen, reasoning, shortened, confidence, radius, alternatives)


def _coarse_told(one: Location, area: Area | None) -> Told:
    if one.status not in PLACED or area is None:
        return Told("not_geocoded" if one.status in PLACED else one.status)
    if area.lat_deg is None:  # Antarctica: its name may be told, and there is no centre
        return Told("not_geocoded", area.country)
    return Told("ok", area.country, "", area.region, "region" if area.is_region else "country", area.lat_deg, area.lon_deg)


def _coarse_radius(
    samples: Sequence[Location], areas: Sequence[Area | None], chosen: Area | None, radius_of: RadiusOf
) -> tuple[float | None, float | None]:
    """A radius around an area's centre that covers the answer's own circle wherever in the area the answer is.

    It is known only if the area is that of the answer that most others agree with to the kilometre, as calibrated.
    """
    fine = consistent(samples)
    at = next(at for at, one in enumerate(samples) if one.text == fine.text and one.status == fine.status)
    km, percent = radius_of(fine)
    if km is None or chosen is None or areas[at] != chosen:
        return None, None
    around = 0.0 if fine.level == "country" else chosen.reach_km
    return min(ANYWHERE_KM, float(math.ceil(km + around))), percent


def _match(one: Location) -> Match:
    """What an answer's names were found to be."""
    return locate(one.text).place if one.status in PLACED else NO_MATCH


def _as_told(one: Location) -> Told:
    found = locate(one.text) if one.status in PLACED else None
    region = found.answer.region or region_of(found.place) if found else ""
    country, city, region = (name[:MAX_NAME_CHARS] for name in (one.country, one.city, region or ""))
    return Told(one.status, country, city, region, one.level, one.lat_deg, one.lon_deg)


def _alternative(told: Told, share: float) -> dict[str, Any]:
    place = {"country": told.country, "city": told.city, "region": told.region, "lat_deg": told.lat_deg, "lon_deg": told.lon_deg}
    return place | {"share": share}


def _document(
    told: Told,
    reasoning: str,
    shortened: bool,
    confidence: float | None,
    radius: tuple[float | None, float | None],
    alternatives: list[dict[str, Any]],
) -> dict[str, Any]:
    return told._asdict() | {
        "reasoning": reasoning,
        "reasoning_shortened": shortened,
        "confidence": confidence,
        "radius_km": radius[0],
        "radius_level_percent": radius[1],
        "alternatives": alternatives,
    }
