"""Several answers to one question: the one that most others agree with, and how many do (self-consistency, arXiv 2203.11171)."""

from collections.abc import Sequence
from dataclasses import replace

from globe.asking.answers import Location
from globe.geo.distance import distance_km

SAME_PLACE_KM = 25.0
"""Two answers this close to each other name the same place, whatever they call it."""


def consistent(samples: Sequence[Location]) -> Location:
    """Choose among the answers about one picture.

    Args:
        samples: The answers, in the order of their seeds.

    Returns:
        The answer that most others agree with, the earlier of two that are equal in that; with all answers, the share of those
        asked for that agree with it, and the calls and tokens that they took together. A single answer is returned as it is.
    """
    if len(samples) == 1:
        return samples[0]
    votes = [sum(agree(one, other) for other in samples) for one in samples]
    best = max(range(len(samples)), key=lambda index: (votes[index], samples[index].status != "call_failed", -index))
    return replace(
        samples[best],
        samples=tuple(samples),
        agreement=votes[best] / len(samples),
        attempts=sum(one.attempts for one in samples),
        prompt_tokens=_total([one.prompt_tokens for one in samples]),
        completion_tokens=_total([one.completion_tokens for one in samples]),
    )


def agree(one: Location, other: Location) -> bool:
    """Whether two answers name the same place: as precisely, within 25 km of each other or by the same names."""
    if "call_failed" in (one.status, other.status) or not (one.country or one.city) or one.level != other.level:
        return False
    if _names(one) == _names(other):
        return True
    if one.lat_deg is None or one.lon_deg is None or other.lat_deg is None or other.lon_deg is None:
        return False
    return distance_km(one.lat_deg, one.lon_deg, other.lat_deg, other.lon_deg) <= SAME_PLACE_KM


def _names(one: Location) -> tuple[str, str]:
    return " ".join(one.country.casefold().split()), " ".join(one.city.casefold().split())


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
