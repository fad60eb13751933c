"""The choice among places of one name: the region, then the spelling, then the population."""

from globe.geo.gazetteer import Place, gazetteer
from globe.geo.match import NO_MATCH, SPELLING_WEIGHT, likeliest, match_of


def place(name: str, admin1: str, population: int, own: bool = True) -> Place:
    return Place(0, name, "US", admin1, 40.0, -90.0, population, population, own)


LARGE, SMALL = place("Clearlake", "CA", 15_000), place("Clear Lake", "IA", 7_000)


def test_the_first_is_the_likeliest_and_how_it_was_chosen_is_told() -> None:
    gaz = gazetteer()
    both = likeliest(gaz, [LARGE, SMALL], None, "clearlake")
    assert both is not None
    assert (both.city, both.match, both.homonyms, both.chosen_by) == ("Clearlake", "exact", 2, "population")
    alone = likeliest(gaz, [SMALL], "CA", "clearlake")
    assert alone is not None
    assert (alone.city, alone.chosen_by) == ("Clear Lake", "only")
    assert likeliest(gaz, [], None, "clearlake") is None


def test_a_region_decides_if_a_place_of_that_name_lies_there() -> None:
    gaz = gazetteer()
    for region, city, chosen_by in (("IA", "Clear Lake", "region"), ("TX", "Clearlake", "population")):
        found = likeliest(gaz, [LARGE, SMALL], region, "clearlake")
        assert found is not None
        assert (found.city, found.chosen_by) == (city, chosen_by)


def test_the_one_spelled_as_asked_is_preferred_unless_another_is_far_more_populous() -> None:
    gaz = gazetteer()
    found = likeliest(gaz, [LARGE, SMALL], None, "Clear Lake")
    assert found is not None
    assert found.city == "Clear Lake"
    huge = place("Clearlake", "CA", 7_000 * SPELLING_WEIGHT + 1)
    found = likeliest(gaz, [huge, SMALL], None, "Clear Lake")
    assert found is not None
    assert found.city == "Clearlake"


def test_only_a_place_has_a_citys_position_and_only_its_own_whole_name_is_exact() -> None:
    gaz = gazetteer()
    assert match_of(gaz, LARGE, 1, "only").match == "exact"
    assert match_of(gaz, LARGE, 1, "only", exact=False).match == "alias"
    assert match_of(gaz, LARGE._replace(own=False), 1, "only").match == "alias"
    assert match_of(gaz, LARGE, 1, "only").city_position_deg == (40.0, -90.0)
    assert (NO_MATCH.found, NO_MATCH.is_city, NO_MATCH.city_position_deg) == (False, False, None)
    country = NO_MATCH._replace(match="country", lat_deg=40.0, lon_deg=-90.0)
    assert (country.found, country.is_city, country.city_position_deg) == (True, False, None)
