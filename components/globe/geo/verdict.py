"""Is this the right place? The one answer that curation, rewards and metrics share.

Right means the same place, whatever it is called (:mod:`globe.geo.places`): "München, Deutschland" is Munich, Germany. A place
may be named under another country than the truth's when it is found where the truth is: "Hong Kong, China" is right for Hong
Kong, and "Austin, Texas" for Austin in the United States. A place across a border is another answer, however near.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from globe.geo.countries import find_country, same_country
from globe.geo.match import NO_MATCH, Match
from globe.geo.normalize import key
from globe.geo.places import find_place, find_place_near


class Truth(NamedTuple):
    """Where a picture was taken; an empty name or a None coordinate is not known."""

    country: str
    city: str
    lat_deg: float | None = None
    lon_deg: float | None = None

    @property
    def position_deg(self) -> tuple[float, float] | None:
        """Latitude and longitude, when they are known."""
        return None if self.lat_deg is None or self.lon_deg is None else (self.lat_deg, self.lon_deg)


class Verdict(NamedTuple):
    """Whether a named place is the right one.

    Attributes:
        country_right: It lies in the true country.
        city_right: It is the true city, in the true country; False when either city is not known.
        place: Where it is: the true place when the city is right, else what its names were found to be.
    """

    country_right: bool
    city_right: bool
    place: Match


def judge(truth: Truth, country: str | None, city: str | None, region: str | None = None) -> Verdict:
    """Judge a place that is given by names.

    Args:
        truth: Where the picture was taken.
        country: Country as answered; without one nothing is right.
        city: City as answered; empty when none was named.
        region: State or province as answered; it decides among homonyms.

    Returns:
        The verdict; for a truth without a country nothing is right.
    """
    place = find_place(city, country, region)
    there = true_place(truth)
    city_is_found = bool(country and city) and place.is_city
    same_land = same_country(country, truth.country)
    country_right = same_land or (bool(truth.country) and city_is_found and place.country_code == _code(truth, there))
    if not (country_right and city and truth.city):
        return Verdict(country_right, False, place)
    same_name = key(city) == key(truth.city) != "" and not ((region or not same_land) and _in_another_region(place, there))
    same_place = city_is_found and there.stands_for(place)
    return Verdict(True, True, there) if same_name or same_place else Verdict(True, False, place)


@lru_cache(maxsize=4096)  # several answers are judged by one truth
def true_place(truth: Truth) -> Match:
    """The place of a truth's city: among homonyms the one nearest to its position, when that is known."""
    if not truth.city:
        return NO_MATCH
    if truth.position_deg is None:
        return find_place(truth.city, truth.country)
    return find_place_near(truth.city, truth.country, *truth.position_deg)


def _in_another_region(place: Match, there: Match) -> bool:
    """Whether the answer's region made it a homonym of the true city elsewhere in the country ("Springfield", "Illinois")."""
    elsewhere = (place.country_code, place.admin1) != (there.country_code, there.admin1)
    return place.chosen_by == "region" and there.is_city and elsewhere


def _code(truth: Truth, there: Match) -> str | None:
    """The ISO code of the country in which a truth lies; of Hong Kong for "Hong Kong, China"."""
    if there.is_city:
        return there.country_code
    country = find_country(truth.country)
    return country.code if country else None
