"""What a name or a position was found to be, and the choice among places of one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from globe.geo.gazetteer import Gazetteer, Place
from globe.geo.layout import LEAST_POPULATION

SPELLING_WEIGHT = 40
"""The most populous of several homonyms must be this many times as populous as one that is spelled exactly as asked to be
preferred to it."""


class Match(NamedTuple):
    """What a name was found to be.

    Attributes:
        city: The place's GeoNames name; None when only the country was found.
        country: English name of the country; None when nothing was found.
        country_code: ISO 3166-1 alpha-2.
        lat_deg: Latitude of the place, or of the country's population-weighted centre.
        lon_deg: Longitude, likewise.
        match: "exact" (the place's own name), "alias" (an alternate name, or a part or form of the given one),
            "country" (only the country), "none".
        geonames_id: GeoNames' number of the place.
        admin1: GeoNames' first-level region code of the place.
        population: GeoNames' population of the place.
        homonyms: How many places of that country have this name.
        chosen_by: "only", "region" or "population": what decided among homonyms; "distance" where a position did.
        also: GeoNames' numbers of what gave way to this place where a position decided: other records of it, and what lies nearer
            and is only called so, too.
    """

    city: str | None = None
    country: str | None = None
    country_code: str | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
    match: Literal["exact", "alias", "country", "none"] = "none"
    geonames_id: int | None = None
    admin1: str | None = None
    population: int | None = None
    homonyms: int = 0
    chosen_by: Literal["only", "region", "population", "distance", ""] = ""
    also: tuple[int, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is a position."""
        return self.lat_deg is not None

    @property
    def is_city(self) -> bool:
        """Whether a place was found, and not only its country."""
        return self.match in ("exact", "alias")

    @property
    def city_position_deg(self) -> tuple[float, float] | None:
        """Latitude and longitude of the place; None when only its country was found, or nothing."""
        return (self.lat_deg, self.lon_deg) if self.is_city and self.lat_deg is not None and self.lon_deg is not None else None

    def stands_for(self, other: Match) -> bool:
        """Whether another match is this place, or what gave way to it."""
        return other.geonames_id is not None and other.geonames_id in (self.geonames_id, *self.also)


NO_MATCH = Match()


def match_of(gaz: Gazetteer, place: Place, homonyms: int, chosen_by: str, exact: bool = True) -> Match:
    """The match of a place; exact when it was found under its own name and that was the whole of what was given."""
    return Match(
        place.name, gaz.countries[place.country_code]["name"], place.country_code, place.lat_deg, place.lon_deg,
        "exact" if exact and place.own else "alias", place.geonames_id, place.admin1, place.population, homonyms,
        chosen_by,  # type: ignore[arg-type]
    )  # fmt: skip


def likeliest(gaz: Gazetteer, places: Sequence[Place], region: str | None, name: str, exact: bool = True) -> Match | None:
    """The likeliest of the places under one key, or the likeliest within a region.

    Args:
        gaz: The gazetteer.
        places: Places under the key, the likeliest first.
        region: First-level code; ignored when no place of that name lies there.
        name: The name as written: of homonyms that differ in spelling ("Clear Lake", "Clearlake") the one spelled so is
            preferred, unless another is far more populous.
        exact: Whether the name is the whole of what was given, so that the match may be called exact.
    """
    if not places:
        return None
    inside = [place for place in places if place.admin1 == region] if region is not None else []
    chosen_by = "only" if len(places) == 1 else "region" if inside else "population"
    pool = inside or places
    best = pool[0]
    if best.own and best.name != name:
        spelled = next((place for place in pool[1:] if place.own and place.name == name), None)
        if spelled and max(LEAST_POPULATION, spelled.population) * SPELLING_WEIGHT >= best.population:
            best = spelled
    return match_of(gaz, best, len(places), chosen_by, exact)
