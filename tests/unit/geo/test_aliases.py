"""The tables of names by hand: every code is a country's, and disputed lands belong to nobody."""

from globe.geo.aliases import COUNTRY_ALIASES, NATIONS, REGION_ANCHORS, SOVEREIGN
from globe.geo.countries import find_country
from globe.geo.gazetteer import gazetteer


def test_every_code_is_a_countrys_and_every_alias_means_it() -> None:
    known = gazetteer().countries
    assert {*COUNTRY_ALIASES, *SOVEREIGN, *SOVEREIGN.values(), *REGION_ANCHORS} <= set(known)
    for code, names in COUNTRY_ALIASES.items():
        for name in names.split("|"):
            found = find_country(name)
            assert found is not None, name
            assert found.code == code, name


def test_disputed_lands_belong_to_nobody_and_no_territory_has_territories() -> None:
    assert {"TW", "XK", "EH", "PS"}.isdisjoint(SOVEREIGN)
    assert set(SOVEREIGN).isdisjoint(SOVEREIGN.values())


def test_the_nations_of_the_united_kingdom_are_its_regions() -> None:
    assert {country for country, _ in NATIONS.values()} == {"GB"}
    assert {admin for _, admin in NATIONS.values()} <= {place.admin1 for place in gazetteer() if place.country_code == "GB"}
