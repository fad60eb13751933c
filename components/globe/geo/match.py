"""What a name or a position was found to be, and the choice among places of one name."""

from __future__ import annotations

from typing import Literal, NamedTuple

from globe.geo.gazetteer import OWN_FLAG, Gazetteer

SPELLING_WEIGHT = 40
"""How many times as populous a homonym must be to go before one that is written exactly as asked."""


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

    @property
    def found(self) -> bool:
        """Whether there is a position."""
        return self.lat_deg is not None


NO_MATCH = Match()


def match_of(gaz: Gazetteer, posting: int, homonyms: int, chosen_by: str, exact: bool) -> Match:
    """The match of one posting of the gazetteer; exact when that is its own name and was given whole."""
    name, code, admin1, lat_deg, lon_deg, population, geonames_id = gaz.fields(posting & ~OWN_FLAG)
    match: Literal["exact", "alias"] = "exact" if exact and posting & OWN_FLAG else "alias"
    return Match(
        name, gaz.country_names[code], code, lat_deg, lon_deg, match, geonames_id, admin1, population, homonyms,
        chosen_by,  # type: ignore[arg-type]
    )  # fmt: skip


def likeliest(gaz: Gazetteer, postings: list[int], region: str | None, name: str, exact: bool = True) -> Match | None:
    """The likeliest of the places under one key, or the likeliest within a region.

    Args:
        gaz: The gazetteer.
        postings: Places under the key, the likeliest first.
        region: First-level code; ignored when no place of that name lies there.
        name: The name as written: of homonyms that differ in writing ("Clear Lake", "Clearlake") the one written so goes
            first, unless another is far more populous.
        exact: Whether the name is the whole of what was given, so that the match may be called exact.
    """
    if not postings:
        return None
    chosen_by = "only" if len(postings) == 1 else "population"
    inside = [p for p in postings if gaz.admin1(p & ~OWN_FLAG) == region] if region is not None else []
    if inside and len(postings) > 1:
        chosen_by = "region"
    pool = inside or postings
    best = pool[0]
    if len(pool) > 1 and best & OWN_FLAG and gaz.name(best & ~OWN_FLAG) != name:
        for posting in pool[1:]:
            if posting & OWN_FLAG and gaz.name(posting & ~OWN_FLAG) == name:
                if max(500, gaz.population(posting & ~OWN_FLAG)) * SPELLING_WEIGHT >= gaz.population(best & ~OWN_FLAG):
                    best = posting
                break
    return match_of(gaz, best, len(postings), chosen_by, exact)
