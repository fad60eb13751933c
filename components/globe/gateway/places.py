"""Countries and regions as places of their own, for answers that may not name a city.

A region is a country's first-level division, as GeoNames numbers it. The gazetteer knows which region each place is in, but has
names for the regions of 22 countries only; elsewhere a region is told by its centre alone. A region that is little more than one
city (Berlin, Vienna, Tokyo, the municipalities of Slovenia) would tell that city, so there the country is told instead.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from globe.geo.aliases import NATIONS, REGION_ANCHORS
from globe.geo.distance import EARTH_RADIUS_KM, unit_vectors
from globe.geo.gazetteer import Place, gazetteer
from globe.geo.match import Match
from globe.geo.normalize import key

LEAST_PLACES = 20
"""Places of 500 people and more that a region must have to be told."""
MOST_OF_ONE_CITY = 0.8
"""The largest share of a region's people that may live in its largest city and `CITY_KM` around it."""
CITY_KM = 25.0
_SPHERE_ERROR = 1.006
"""The most by which a distance on the ellipsoid exceeds that on a sphere of the same mean radius."""


class Area(NamedTuple):
    """A country or a region."""

    country_code: str
    country: str
    """GeoNames' English name."""
    region: str
    """The region's name; empty for a country, and for a region that the gazetteer has no name of."""
    is_region: bool
    lat_deg: float | None
    """Of the centre, weighted by population; None where the gazetteer has no place, as in Antarctica."""
    lon_deg: float | None
    reach_km: float
    """From the centre to the farthest place in it."""


def area_of(place: Match, *, region: bool) -> Area | None:
    """The area that a place lies in.

    Args:
        place: The place, or a country.
        region: Whether its region is wanted; its country is given where no region can be told.

    Returns:
        The area; None if the place was not found.
    """
    if place.country_code is None:
        return None
    if region and place.is_city and place.admin1 and (found := _region(place.country_code, place.admin1)):
        return found
    return _country(place.country_code)


def region_of(place: Match) -> str:
    """The name of the region that a city lies in; empty where the gazetteer has none."""
    return _region_names().get((place.country_code, place.admin1), "") if place.country_code and place.admin1 else ""


@lru_cache(maxsize=300)
def _country(code: str) -> Area:
    entry = gazetteer().countries[code]
    if not entry["centre"]:
        return Area(code, entry["name"], "", False, None, None, 0.0)
    lat_deg, lon_deg = entry["centre"]
    return Area(code, entry["name"], "", False, lat_deg, lon_deg, _reach_km(lat_deg, lon_deg, _places(code)))


@lru_cache(maxsize=5000)
def _region(code: str, admin1: str) -> Area | None:
    """A region; None if it is little more than one city."""
    places = [place for place in _places(code) if place.admin1 == admin1]
    if len(places) < LEAST_PLACES:
        return None
    people = np.array([max(1, place.population) for place in places])
    vectors = unit_vectors([place.lat_deg for place in places], [place.lon_deg for place in places])
    in_the_city = vectors @ vectors[people.argmax()] >= math.cos(CITY_KM / EARTH_RADIUS_KM)
    if people[in_the_city].sum() > MOST_OF_ONE_CITY * people.sum():
        return None
    x, y, z = np.average(vectors, axis=0, weights=people)
    lat_deg = round(math.degrees(math.atan2(z, math.hypot(x, y))), 4)
    lon_deg = round(math.degrees(math.atan2(y, x)), 4)
    name = _region_names().get((code, admin1), "")
    country = gazetteer().countries[code]["name"]
    return Area(code, country, name, True, lat_deg, lon_deg, _reach_km(lat_deg, lon_deg, places))


@lru_cache(maxsize=64)
def _places(code: str) -> list[Place]:
    gaz = gazetteer()
    numbers, codes = gaz.countries_of_places()
    wanted = np.flatnonzero(np.array(numbers) == codes.index(code))
    return [gaz.place(int(index)) for index in wanted]


def _reach_km(lat_deg: float, lon_deg: float, places: list[Place]) -> float:
    vectors = unit_vectors([place.lat_deg for place in places], [place.lon_deg for place in places])
    nearest_cosine = float((vectors @ unit_vectors(lat_deg, lon_deg)).min())
    return EARTH_RADIUS_KM * math.acos(max(-1.0, min(1.0, nearest_cosine))) * _SPHERE_ERROR


@lru_cache(maxsize=1)
def _region_names() -> dict[tuple[str, str], str]:
    """The first name that we write for each region, by ISO code of its country and GeoNames' number."""
    gaz = gazetteer()
    names = {(country, admin): name for name, (country, admin) in reversed(NATIONS.items())}
    for country, text in REGION_ANCHORS.items():
        for entry in reversed(text.split(";")):
            name = entry.partition("=")[0].partition("|")[0]
            if admin := gaz.regions.get(country, {}).get(key(name)):
                names[country, admin] = name
    return names | {("US", code): name for code, name in _us_states().items()}


def _us_states() -> dict[str, str]:
    import pycountry  # late: only a gateway with this setting needs it

    return {found.code.partition("-")[2]: found.name for found in pycountry.subdivisions.get(country_code="US") or ()}
