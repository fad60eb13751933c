"""Names to places: which country, which city.

Decided by exact matches of normalised names and GeoNames' alternate names only; nothing fuzzy ever decides. Among
places of one name in one country the region decides if given, else the population; :class:`Match` reports the choice.
The rule for territories is written down in :mod:`globe.geo.aliases`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from globe.geo.aliases import SOVEREIGN
from globe.geo.countries import BRACKETS, country_and_region, country_code, find_country
from globe.geo.distance import distance_km
from globe.geo.gazetteer import Gazetteer, Place, gazetteer
from globe.geo.layout import LEAST_POPULATION
from globe.geo.match import NO_MATCH, Match, likeliest, match_of
from globe.geo.normalize import MAX_NAME_CHARS, key

CALLED_SO_KM = 20.0
"""So far around a city others are called by its name; farther away it is more often a namesake (Vouvray, Vouvray-sur-Loir)."""
TWICE_KM = 10.0
"""Two records of one name and region that lie no farther apart are taken for one place."""
TERRITORIES: dict[str, tuple[str, ...]] = {
    state: tuple(t for t, s in SOVEREIGN.items() if s == state) for state in dict.fromkeys(SOVEREIGN.values())
}


_PREFIX = re.compile(
    r"^(?:the |greater |city of |town of |village of |municipality of |downtown |central |metropolitan |metro |inner |outer |"
    r"near |around |outskirts of |district of |county of |old town of |ciudad de |ville de |stadt |gemeente |comune di )+",
    re.IGNORECASE,
)
_SUFFIX = re.compile(
    r"(?: city| town| village| municipality| metropolitan area| metro area| metropolitan region| urban area| metropolis|"
    r" metropolitan city| metro| prefecture| province| district| region| area| county| state| department|"
    r" governorate| oblast| krai| canton| voivodeship| d\.? ?c\.?| d\.? ?f\.?| old town| downtown|"
    r" city center| city centre| centre| center| cdmx| suburbs| outskirts|-shi|-si|-ku|-gun)+$",
    re.IGNORECASE,
)
_HAN_SUFFIX = re.compile(r"(?:特別市|特别市|广域市|廣域市|특별자치시|특별시|광역시|市区|市區|市|縣|县|區|区|都|府|시|군|구)$")
_REGION_WORDS = re.compile(
    r"^(?:state of |province of |region of |the )+|"
    r"(?: state| province| prefecture| region| oblast| county| department| governorate| canton| voivodeship| krai|"
    r" autonomous region|"
    r" autonomous community| territory| metropolitan region| district)+$",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"\s*[,，、;；|]\s*")
_LIST = re.compile(r"[;；|\n]|[\s(（\[](?:or|or maybe|oder|ou|或)\s|\sand\s.*,|(?:[,，、][^,，、]*){4,}", re.IGNORECASE)


def names_several(city: str) -> bool:
    """Whether a city value is a list of guesses ("Paris; Lyon", "Paris or Lyon", five names) and therefore no answer."""
    return len(city) > MAX_NAME_CHARS or _LIST.search(city) is not None


@lru_cache(maxsize=65536)  # a data set asks for the same cities again and again
def find_place(city: str | None, country: str | None, region: str | None = None) -> Match:
    """The place of that name in that country.

    Args:
        city: Name in any script; may carry a region ("Paris, Texas"), a bracket ("Munich (München)") or "City",
            "Greater" and the like around the name. Empty: the country is looked up alone.
        country: Name or code; empty: the most populous place of that name in the world. A name that is no country but a
            state of the US or Canada stands for both ("Atlanta", "Georgia" only when Georgia has no Atlanta).
        region: State or province; decides among homonyms. One that is not recognised is ignored.

    Returns:
        The match; ``match`` is "country" when only the country is known, "none" when not even that.
    """
    city, country = (city or "").strip(), (country or "").strip()
    gaz = gazetteer()
    if not country:
        return _anywhere(gaz, city)
    land, implied = country_and_region(country)
    if land is None:
        return _in_region(gaz, city, country)
    if not city:
        return _country_match(gaz, land.code)
    found = _in_country(gaz, city, land.code, region, implied)
    if found is None:
        for territory in TERRITORIES.get(land.code, ()):
            found = _in_country(gaz, city, territory, region, None) or _territory_itself(gaz, city, territory)
            if found:
                return found._replace(match="alias")
        as_region = _in_region(gaz, city, country)
        return as_region if as_region.is_city else _country_match(gaz, land.code)
    return found


def find_place_near(city: str, country: str, lat_deg: float, lon_deg: float) -> Match:
    """Like :func:`find_place`, but among homonyms the nearest to a position in degrees, not the most populous.

    A country's homonyms are also those of its territories: San Juan of the United States may lie in Puerto Rico. One that is only
    called so, too, gives way to a likelier one beside it whose own name it is, as the City of London does to London; and of two
    that have the name as their own, side by side in a region, it is the likelier: GeoNames has many a place twice. The ones that
    gave way are told in ``also``.
    """
    found = find_place(city, country)
    if not found.is_city or found.country_code is None:
        return found
    gaz, land = gazetteer(), country_and_region(country)[0]
    homonyms = gaz.find(found.country_code, key(city))
    if not homonyms:  # the name was found by a part or form of it, which decided already
        return found
    for territory in TERRITORIES.get(land.code if land else found.country_code, ()):
        if territory != found.country_code:
            homonyms += gaz.find(territory, key(city))
    if len(homonyms) < 2:
        return found
    chosen, *also = _nearest(homonyms, lat_deg, lon_deg)
    return match_of(gaz, chosen, len(homonyms), "distance")._replace(also=tuple(place.geonames_id for place in also))


def _nearest(homonyms: list[Place], lat_deg: float, lon_deg: float) -> list[Place]:
    """The place that a name stands for at a position, and after it those that gave way to it.

    Args:
        homonyms: The likeliest first, by country.
        lat_deg: Of the position.
        lon_deg: Of the position.
    """

    def away_km(place: Place) -> float:
        return distance_km(lat_deg, lon_deg, place.lat_deg, place.lon_deg)

    def beside(place: Place, limit_km: float) -> list[Place]:
        near = (one for one in homonyms if one.own and one.country_code == place.country_code)
        return [one for one in near if distance_km(one.lat_deg, one.lon_deg, place.lat_deg, place.lon_deg) <= limit_km]

    nearest = named = min(homonyms, key=away_km)
    if not nearest.own:
        likelier = homonyms[: homonyms.index(nearest)]
        named = min((one for one in beside(nearest, CALLED_SO_KM) if one in likelier), key=away_km, default=nearest)
    twice = [one for one in beside(named, TWICE_KM) if named.own and one.admin1 == named.admin1]
    return list(dict.fromkeys((*twice, named, nearest)))


def find_query(text: str) -> Match:
    """The place of a query "CITY, COUNTRY", "CITY, REGION, COUNTRY", "CITY, STATE", "COUNTRY" or "CITY"."""
    text = text.strip()
    parts = [p for p in _SEPARATORS.split(text) if p]
    if not parts or len(text) > 3 * MAX_NAME_CHARS:
        return NO_MATCH
    if len(parts) == 1:
        return find_place("", text) if find_country(text) is not None else find_place(text, "")
    best = NO_MATCH
    for split in range(1, len(parts)):  # the longest tail that is a country: "Kinshasa, Congo, Democratic Republic of the"
        city, country = ", ".join(parts[:split]), ", ".join(parts[split:])
        if find_country(country) is None:
            continue
        found = find_place(city, country)
        if found.is_city:
            return found
        best = best if best.found else found
    if find_country(text) is not None:  # "Hong Kong, China", "Congo, Democratic Republic of the"
        return find_place("", text)
    state = find_place(", ".join(parts[:-1]), parts[-1])
    return state if state.is_city or not best.found else best


def _country_match(gaz: Gazetteer, code: str) -> Match:
    entry = gaz.countries[code]
    lat, lon = entry["centre"] or (None, None)
    return Match(None, entry["name"], code, lat, lon, "country", None, None, None, 0, "")


def _territory_itself(gaz: Gazetteer, city: str, code: str) -> Match | None:
    """ "Hong Kong" as a city of China: the territory's name stands for its chief place, or for itself."""
    return _country_match(gaz, code) if country_code(gaz, city) == code else None


def _region_code(gaz: Gazetteer, region: str, code: str) -> str | None:
    """First-level code of a region's name: a known region, or the region of the chief place of that name."""
    table = gaz.regions.get(code, {})
    for text in (region, _REGION_WORDS.sub("", region)):
        k = key(text)
        if k in table:
            return table[k]
    places = gaz.find(code, key(_REGION_WORDS.sub("", region)))
    return places[0].admin1 if places else None


def _in_country(gaz: Gazetteer, city: str, code: str, region: str | None, implied: str | None) -> Match | None:
    """A city within one country: the whole value first, then its forms and parts. None when not found."""
    admin = (_region_code(gaz, region, code) if region else None) or implied
    found = likeliest(gaz, gaz.find(code, key(city)), admin, city)
    if found is not None or len(city) > MAX_NAME_CHARS:
        return found
    return _by_brackets(gaz, city, code, admin) or _by_parts(gaz, city, code, admin) or _by_forms(gaz, city, code, admin)


def _by_forms(gaz: Gazetteer, city: str, code: str, admin: str | None) -> Match | None:
    """ "Greater London", "Quezon city proper", "杭州市": the name without what surrounds it."""
    bare_front, bare_back = _PREFIX.sub("", city), _SUFFIX.sub("", city)
    with_city = "" if key(city) in gaz.regions.get(code, {}) else f"{city} city"  # Iowa is a state, not Iowa City
    for form in (bare_back, bare_front, _PREFIX.sub("", bare_back), _HAN_SUFFIX.sub("", city), with_city, f"the {city}"):
        if form and form != city:
            found = likeliest(gaz, gaz.find(code, key(form)), admin, form, exact=False)
            if found is not None:
                return found
    return None


def _by_brackets(gaz: Gazetteer, city: str, code: str, admin: str | None) -> Match | None:
    """ "Munich (München)", "Bolzano/Bozen", "Bombay - Mumbai": all names that resolve must mean the same place."""
    inner = BRACKETS.findall(city)
    if inner:
        outer = _in_country(gaz, BRACKETS.sub(" ", city).strip(), code, None, admin)
        others = inner
    else:
        names = [n.strip() for n in re.split(r"/| - | – | aka | a\.k\.a\. ", city) if n.strip()]
        if len(names) < 2 or len(names) > 3:
            return None
        outer, others = _in_country(gaz, names[0], code, None, admin), names[1:]
    for other in others:
        if key(other) in gaz.regions.get(code, {}):
            if inner:
                return _in_country(gaz, BRACKETS.sub(" ", city).strip(), code, other, admin)
            continue
        second = likeliest(gaz, gaz.find(code, key(other)), admin, other, exact=False)
        if outer is None:
            outer = second
        elif second is not None and second.geonames_id != outer.geonames_id:
            return None
    return outer._replace(match="alias") if outer else None


def _by_parts(gaz: Gazetteer, city: str, code: str, admin: str | None) -> Match | None:
    """ "Paris, Texas", "Shibuya, Tokyo": the first part is the place, each other part must contain it.

    A further part is accepted when it is a region's name, the country's name, or a larger place of the same region.
    Anything else makes the value a list of guesses, which is no place.
    """
    parts = [p for p in _SEPARATORS.split(city) if p]
    if len(parts) < 2 or len(parts) > 4:
        return None
    region = admin
    containers = []
    for part in parts[1:]:
        land, _ = country_and_region(part)
        table = gaz.regions.get(code, {})
        known = table.get(key(part)) or table.get(key(_REGION_WORDS.sub("", part)))
        if known is not None:
            region = known
        elif land is not None and land.code != code:
            return None  # "Paris, Italy" is no place of France
        elif land is None:
            if any(key(part) in gaz.regions[other] for other in gaz.regions if other != code) and not gaz.find(code, key(part)):
                return None  # neither is "Paris, Texas"
            containers.append(part)
    wanted = region
    for part in containers:
        wanted = wanted or _region_code(gaz, part, code)
    found = likeliest(gaz, gaz.find(code, key(parts[0])), wanted, parts[0], exact=False) or _by_forms(gaz, parts[0], code, wanted)
    if found is None or (region is not None and found.admin1 != region):
        return None
    for part in containers:
        holders = gaz.find(code, key(_REGION_WORDS.sub("", part)))
        if not holders:
            continue  # a district or region that the gazetteer does not know
        holder = holders[0]
        if holder.admin1 != found.admin1 or holder.population < (found.population or 0):
            return None
    return found._replace(match="alias") if found.match != "alias" else found


def _in_region(gaz: Gazetteer, city: str, region: str) -> Match:
    """The "country" is a state or province: "Paris", "Texas". Alone, only the US's, Canada's, Australia's names count."""
    head, _, tail = BRACKETS.sub(r", \1", region).partition(",")
    land = find_country(tail) if tail.strip() else None
    if land is not None:  # "Texas, USA", "Bavaria (Germany)"
        admin = gaz.regions.get(land.code, {}).get(key(head))
        if admin is None:
            return NO_MATCH
        return _within(gaz, city, land.code, admin) or _country_match(gaz, land.code)
    for code in ("US", "CA", "AU"):
        admin = gaz.regions[code].get(key(region))
        if admin is None or len(key(region)) < 2:
            continue
        found = _within(gaz, city, code, admin)
        if found is not None:
            return found
    return NO_MATCH


def _within(gaz: Gazetteer, city: str, code: str, admin: str) -> Match | None:
    """The likeliest place of that very name within one region, and nowhere else."""
    inside = [place for place in gaz.find(code, key(city)) if place.admin1 == admin]
    found = likeliest(gaz, inside, None, city)
    return found._replace(match="alias", chosen_by="region") if found else None


def _anywhere(gaz: Gazetteer, city: str) -> Match:
    """The most populous place of that name in the world; an own name before an alternate one."""
    if not city:
        return NO_MATCH
    best: Match | None = None
    for code in gaz.countries:
        found = likeliest(gaz, gaz.find(code, key(city)), None, city)
        if found is not None and (best is None or _rank(found) > _rank(best)):
            best = found
    return best._replace(chosen_by="population") if best else NO_MATCH


def _rank(match: Match) -> int:
    return max(LEAST_POPULATION, match.population or 0) * (40 if match.match == "exact" else 1)
