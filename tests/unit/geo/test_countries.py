"""Country names: what means which country, and what means none."""

import pytest

from globe.geo.countries import find_country, same_country


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


@pytest.mark.parametrize("name", ["Spain (or Portugal)", "France (Spain)", "Georgia (USA)", "Macedonia (Greece)"])
def test_a_country_with_another_one_in_brackets_is_neither(name: str) -> None:
    assert find_country(name) is None
    assert find_country("Greenland (Denmark)") == find_country("Greenland")
    assert find_country("Germany (Deutschland)") == find_country("Germany")
