"""Country names: any common spelling, language or ISO code to one country; the rule for territories is in the alias table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from globe.geo.aliases import SOVEREIGN
from globe.geo.gazetteer import Gazetteer, gazetteer
from globe.geo.normalize import MAX_NAME_CHARS, key

BRACKETS = re.compile(r"\s*[(\[（]([^()\[\]（）]{1,80})[)\]）]\s*")
"""A remark in brackets within a name; the group is what it says."""


class Country(NamedTuple):
    """A country or territory with an ISO 3166-1 alpha-2 code (XK for Kosovo), under GeoNames' English name."""

    code: str
    name: str


NOT_A_NAME = frozenset(
    ("n/a", "n.a.", "n\\a", "none", "null", "nan", "unknown", "not specified", "unspecified", "undetermined", "?", "-")
)
"""What models write when they do not know the country. ("NA" alone is Namibia's code.)"""


def find_country(name: str | None) -> Country | None:
    """The country of that name in any common spelling, language or ISO code; None when there is none.

    Nations of the United Kingdom give GB; a US state is no country ("Georgia" is the country).
    """
    return country_and_region(name)[0] if name else None


@lru_cache(maxsize=4096)  # few names come up again and again
def country_and_region(name: str) -> tuple[Country | None, str | None]:
    """Country, and the region that the name implies ("Scotland": GB, SCT)."""
    gaz = gazetteer()
    for text in _country_forms(gaz, name):
        k = key(text)
        if not k:
            continue
        if k in gaz.nations:
            code, region = gaz.nations[k]
            return Country(code, gaz.countries[code]["name"]), region
        found = country_code(gaz, text)
        if found is None:
            continue
        if text is not name and _denied(gaz, name, found):
            return None, None
        return Country(found, gaz.countries[found]["name"]), None
    return None, None


def country_code(gaz: Gazetteer, name: str) -> str | None:
    """ISO code of a country spelled exactly like this. Codes are plain letters: "Áo" is Austria in Vietnamese, not "AO"."""
    k = key(name)
    if name.isascii():
        return gaz.country_codes.get(k) or gaz.country_aliases.get(k)
    return gaz.accented_countries.get(name.strip().casefold()) or gaz.country_aliases.get(k)


_HEDGE = re.compile(r"^(?:or|and|maybe|possibly|perhaps|probably|not) ", re.IGNORECASE)


def _denied(gaz: Gazetteer, name: str, code: str) -> bool:
    """Whether brackets name another country ("Spain (or Portugal)", "Georgia (USA)"), but for a territory's own state."""
    for remark in BRACKETS.findall(name):
        other = country_code(gaz, _HEDGE.sub("", remark))
        if other is not None and other != code and other != SOVEREIGN.get(code):
            return True
    return False


def _country_forms(gaz: Gazetteer, name: str) -> Iterable[str]:
    if len(name) > MAX_NAME_CHARS or name.strip().lower() in NOT_A_NAME:
        return
    yield name
    stripped = re.sub(
        r"^(?:the (?:country|state|republic|kingdom) of |the |republic of |kingdom of )", "", name.strip(), flags=re.IGNORECASE
    )
    if stripped != name:
        yield stripped
    head, comma, tail = name.partition(",")
    if comma and "," not in tail and country_code(gaz, tail.strip()) is None:  # but not "Kinshasa, Congo"
        yield f"{tail} {head}"  # "Gambia, The", "Korea, South", "China, People's Republic of"
    if BRACKETS.search(name):
        yield BRACKETS.sub(" ", name)


def same_country(a: str | None, b: str | None) -> bool:
    """Whether two names mean one country: equal ISO codes, or equal keys when neither is known."""
    if not a or not b:
        return False
    first, second = find_country(a), find_country(b)
    if first is None and second is None:
        return key(a) != "" and key(a) == key(b)
    return first is not None and second is not None and first.code == second.code
