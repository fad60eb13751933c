"""The toy world's geography and its cues."""

from collections import Counter
from itertools import combinations

import pytest
from geopy.distance import geodesic

from globe.demo.draw import SKY
from globe.demo.places import CUE_KINDS, CUES, HAZES, City, all_cities, blank_reasoning
from globe.geo.places import find_place


def test_there_are_42_cities_of_14_countries_on_6_continents_evenly_spread() -> None:
    cities = all_cities()
    assert len({(city.name, city.country) for city in cities}) == 42
    assert set(Counter(city.country for city in cities).values()) == {3}
    assert len({city.country_code for city in cities}) == 14
    assert {city.continent for city in cities} == {"AF", "AS", "EU", "NA", "OC", "SA"}
    assert 1 / len({city.country for city in cities}) < 0.09  # chance


def test_names_and_coordinates_are_those_of_the_real_cities() -> None:
    cities = {city.name: city for city in all_cities()}
    for name, country, lat_deg, lon_deg in (
        ("Paris", "France", 48.857, 2.352),
        ("Tromsø", "Norway", 69.649, 18.956),
        ("São Paulo", "Brazil", -23.55, -46.633),
        ("Dunedin", "New Zealand", -45.874, 170.504),
    ):
        assert cities[name].country == country
        assert cities[name].lat_deg == pytest.approx(lat_deg, abs=0.05)
        assert cities[name].lon_deg == pytest.approx(lon_deg, abs=0.05)


def test_every_country_ranks_its_three_cities_by_fame_and_gives_each_its_own_ground() -> None:
    for cities in _by_country().values():
        assert [city.fame_rank for city in cities] == [0, 1, 2]
        assert len({city.cue("ground") for city in cities}) == 3
        assert len({city.cues[1:] for city in cities}) == 1


def test_two_countries_differ_in_at_least_two_named_cues() -> None:
    for (first, *_), (second, *_) in combinations(_by_country().values(), 2):
        differing = sum(a != b for a, b in zip(first.cues[1:], second.cues[1:], strict=True))
        assert differing >= 2, f"{first.country} and {second.country} look alike"


def test_a_reasoning_names_the_cues_word_for_word_and_tells_every_city_apart() -> None:
    for city in all_cities():
        assert city.reasoning.split(", ") == list(city.cues)
    assert len({city.reasoning for city in all_cities()}) == 42


def test_what_is_said_of_an_unlocatable_picture_names_its_haze_and_no_cue() -> None:
    assert blank_reasoning("fog") == "only fog, no clue"
    said = {blank_reasoning(haze) for haze in (*HAZES, "")}
    assert len(said) == 4
    assert not [cue for cues in CUES.values() for cue in cues if any(cue in text for text in said)]


def test_neighbouring_countries_share_sky_plants_and_the_side_of_the_road() -> None:
    countries = list(_by_country().values())
    for (first, *_), (second, *_) in zip(countries[::2], countries[1::2], strict=True):
        for kind in ("plant", "traffic"):
            assert first.cue(kind) == second.cue(kind)
        assert first.sky == second.sky


def test_every_cue_belongs_to_its_kind_and_every_known_cue_is_used() -> None:
    for number, kind in enumerate(CUE_KINDS):
        assert {city.cues[number] for city in all_cities()} == set(CUES[kind])
    assert {city.sky for city in all_cities()} == set(SKY)


def test_cities_lie_farther_apart_than_teachers_positions_scatter() -> None:
    nearest_km = min(geodesic((a.lat_deg, a.lon_deg), (b.lat_deg, b.lon_deg)).km for a, b in combinations(all_cities(), 2))
    assert nearest_km > 120


@pytest.mark.parametrize("city", all_cities(), ids=lambda city: city.name)
def test_the_gazetteer_finds_every_city_by_the_name_that_teachers_use(city: City) -> None:
    match = find_place(city.name, city.country)
    assert match.match in ("exact", "alias")
    assert match.country_code == city.country_code
    assert geodesic((match.lat_deg, match.lon_deg), (city.lat_deg, city.lon_deg)).km < 5
    assert match.geonames_id == city.geonames_id


def _by_country() -> dict[str, list[City]]:
    found: dict[str, list[City]] = {}
    for city in all_cities():
        found.setdefault(city.country, []).append(city)
    return found
