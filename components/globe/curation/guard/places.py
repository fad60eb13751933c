"""Which place a picture is of, whatever its city is called: what is held out as a place nothing is trained on of."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

from globe.curation.guard.facts import Facts
from globe.geo.distance import distance_km
from globe.geo.gazetteer import Place, gazetteer
from globe.geo.normalize import key
from globe.geo.verdict import Truth, true_place

NAMESAKES_KM = 50.0
"""Places that share a name and lie no farther apart are one: so far people call what surrounds a city by the city's name."""
_LEAST_KM_PER_DEGREE = 110.5
"""Of latitude; it tells without a geodesic that most namesakes are too far apart."""


def place_of(facts: Facts) -> tuple[str, int]:
    """One key for all spellings of a picture's city, and its population, 0 if nobody knows.

    Munich is München, and Saint Louis St. Louis. Of several cities of a name in a country it is the one nearest to the picture,
    but namesakes side by side are one place: the City of London is called London, too, and lies nearest to many a picture of
    London. Cities that the gazetteer does not know go by their names, as do territories that are named as cities (Greenland).
    """
    found = true_place(Truth(facts.country, facts.city, facts.lat_deg, facts.lon_deg))
    if found.geonames_id is not None:
        place, population = _joined().get(found.geonames_id, (found.geonames_id, found.population or 0))
        return str(place), population
    return f"{found.country_code or key(facts.country)}/{key(facts.city)}", 0


@lru_cache(maxsize=1)
def _joined() -> dict[int, tuple[int, int]]:
    """By GeoNames' number of each place with a namesake beside it, number and population of the largest that it is one with."""
    groups: dict[int, list[Place]] = {}
    for namesakes in gazetteer().namesakes():
        for one, other in combinations(namesakes, 2):
            if _side_by_side(one, other):
                merged = groups.get(one.geonames_id, [one])
                if merged is not (others := groups.get(other.geonames_id, [other])):
                    merged.extend(others)
                    groups |= dict.fromkeys((place.geonames_id for place in merged), merged)
    largest = {number: max(group, key=lambda place: (place.population, -place.geonames_id)) for number, group in groups.items()}
    return {number: (place.geonames_id, place.population) for number, place in largest.items()}


def _side_by_side(one: Place, other: Place) -> bool:
    if abs(one.lat_deg - other.lat_deg) * _LEAST_KM_PER_DEGREE > NAMESAKES_KM:
        return False
    return distance_km(one.lat_deg, one.lon_deg, other.lat_deg, other.lon_deg) <= NAMESAKES_KM
