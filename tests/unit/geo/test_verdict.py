"""The one verdict: the right place under any of its names, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from place_names import COUNTRY_ALONE, MUNICH, PARIS_IN_TENNESSEE, RIGHT, SAN_JUAN, SPRINGFIELD_IN_ILLINOIS, WRONG

from globe.geo.places import find_place
from globe.geo.verdict import Truth, judge, true_place


@pytest.mark.parametrize(("truth", "country", "city"), RIGHT)
def test_the_right_place_is_right_under_any_of_its_names(truth: Truth, country: str, city: str) -> None:
    verdict = judge(truth, country, city)
    assert (verdict.country_right, verdict.city_right) == (True, True)
    assert verdict.place == true_place(truth)


@pytest.mark.parametrize(("truth", "country", "city"), COUNTRY_ALONE)
def test_another_city_of_the_country_is_the_right_country_alone(truth: Truth, country: str, city: str) -> None:
    verdict = judge(truth, country, city)
    assert (verdict.country_right, verdict.city_right) == (True, False)
    assert verdict.place == find_place(city, country)


@pytest.mark.parametrize(("truth", "country", "city"), WRONG)
def test_a_place_in_another_country_is_wrong_however_near(truth: Truth, country: str, city: str) -> None:
    verdict = judge(truth, country, city)
    assert (verdict.country_right, verdict.city_right) == (False, False)


@pytest.mark.parametrize(
    ("a", "b", "country"),
    [
        ("Omsk", "Tomsk", "Russia"), ("Hangzhou", "Zhangzhou", "China"), ("Anyang", "Nanyang", "China"),
        ("Paris", "Paris, Texas", "France"),
        ("York", "New York", "United States"), ("Lyon", "Laon", "France"), ("Kyoto", "Tokyo", "Japan"), ("", "Paris", "France"),
    ],
)  # fmt: skip
def test_different_cities_stay_apart(a: str, b: str, country: str) -> None:
    assert not judge(Truth(country, a), country, b).city_right
    assert not judge(Truth(country, b), country, a).city_right


def test_one_city_under_two_names_is_the_same() -> None:
    assert judge(Truth("Germany", "Munich"), "Germany", "München").city_right
    assert judge(Truth("USA", "New York"), "USA", "New York City").city_right
    assert judge(Truth("Czechia", "Praha"), "Czechia", "Prague").city_right


def test_a_city_that_the_gazetteer_does_not_know_is_right_by_its_name_alone() -> None:
    hamlet = Truth("France", "Nowhère-sur-Mer", 48.0, 2.0)
    assert judge(hamlet, "France", "nowhere sur mer").city_right
    assert not judge(hamlet, "France", "Atlantis").city_right


def test_without_a_known_city_only_the_country_can_be_right() -> None:
    assert judge(MUNICH, "Germany", "")[:2] == (True, False)
    assert judge(Truth("Germany", ""), "Germany", "Munich")[:2] == (True, False)
    assert judge(Truth("", "Munich", 48.1, 11.6), "Germany", "Munich")[:2] == (False, False)
    assert judge(MUNICH, None, None)[:2] == (False, False)


def test_a_region_decides_among_homonyms() -> None:
    assert judge(PARIS_IN_TENNESSEE, "USA", "Paris, TN").city_right
    assert judge(MUNICH, "Germany", "Munich", "Bavaria").city_right
    assert judge(Truth("United States", "Portland, Maine"), "USA", "Portland", "Maine").city_right
    assert not judge(Truth("United States", "Portland, Maine"), "USA", "Portland").city_right


def test_the_true_citys_name_in_another_region_is_another_city() -> None:
    missouri = Truth("United States", "Springfield", 37.2, -93.3)
    for country, region in (("United States", "Illinois"), ("Illinois", None)):
        verdict = judge(missouri, country, "Springfield", region)
        assert (verdict.country_right, verdict.city_right, verdict.place.admin1) == (True, False, "IL")
    for region in ("Missouri", "MO", "", None, "Nowhere"):
        assert judge(missouri, "United States", "Springfield", region).city_right
    assert judge(Truth("Georgia", "Springfield", 23.7, -24.9), "Georgia", "Springfield").city_right  # word for word
    assert not judge(SAN_JUAN, "United States", "San Juan", "Texas").city_right


def test_the_place_of_a_truth_is_the_homonym_nearest_to_its_position() -> None:
    assert (true_place(SPRINGFIELD_IN_ILLINOIS).admin1, true_place(PARIS_IN_TENNESSEE).admin1) == ("IL", "TN")
    assert true_place(Truth("United States", "Springfield")) == find_place("Springfield", "United States")
    assert true_place(Truth("Germany", "")).match == "none"


NAMES = st.none() | st.text(max_size=40) | st.sampled_from(["France", "Paris", "Texas", "China", "Hong Kong", "Austin"])


@settings(max_examples=200, deadline=None)
@given(NAMES, NAMES, NAMES, NAMES, NAMES)
def test_no_name_raises_and_a_right_city_lies_in_the_right_country(
    true_country: str | None, true_city: str | None, country: str | None, city: str | None, region: str | None
) -> None:
    verdict = judge(Truth(true_country or "", true_city or "", 10.0, 20.0), country, city, region)
    assert verdict.country_right or not verdict.city_right
