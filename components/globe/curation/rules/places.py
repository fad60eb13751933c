"""Steps b and c: an annotation's place is the known truth, and another teacher places the picture there too."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from globe.curation.teachers.replies import CoordinateReply, VlmReply
from globe.geo.distance import distance_km
from globe.geo.verdict import Truth, Verdict, judge

_REMEMBERED = 16384
"""Teachers name the same place for a picture, and the same places for many: what was looked up once is remembered."""

judge_place = lru_cache(maxsize=_REMEMBERED)(judge)


@lru_cache(maxsize=_REMEMBERED)
def is_true_place(country: str, city: str, truth: Truth, agree_km: float) -> bool:
    """Tell whether a named city is where the picture was taken: the true city, or within `agree_km` of the true position."""
    verdict = judge_place(truth, country, city)
    if verdict.city_right or not verdict.country_right:  # a place across the border is a different answer, however near it is
        return verdict.city_right
    point, there = verdict.place.city_position_deg, truth.position_deg
    return point is not None and there is not None and distance_km(*point, *there) <= agree_km


def is_corroborated(
    reply: VlmReply,
    truth: Truth,
    others: Iterable[VlmReply],
    positions: Iterable[CoordinateReply],
    agree_km: float,
) -> bool:
    """Tell whether another teacher places the picture where an annotation does.

    Args:
        reply: The annotation.
        truth: Where the picture was taken.
        others: The other VLMs' replies that say where it is.
        positions: The coordinate models' replies.
        agree_km: Places closer than this are the same.
    """
    there = _annotated(reply, truth, agree_km)
    if any(is_true_place(other.country, other.city, there, agree_km) for other in others):
        return True
    point = there.position_deg
    return point is not None and any(distance_km(at.lat_deg, at.lon_deg, *point) <= agree_km for at in positions)


def _annotated(reply: VlmReply, truth: Truth, agree_km: float) -> Truth:
    """Where an annotation places the picture."""
    verdict: Verdict = judge_place(truth, reply.country, reply.city)
    point = verdict.place.city_position_deg
    if point is None and is_true_place(reply.country, reply.city, truth, agree_km):
        point = truth.position_deg  # a correct name that the gazetteer can't place is taken to be at the true position
    names = truth[:2] if verdict.city_right else (reply.country, reply.city)
    return Truth(*names, *(point or (None, None)))
