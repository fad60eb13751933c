"""Every picture is in one slice of each division."""

import pytest

from globe.evaluation.slices import CITY_SIZES, slices
from globe.geo.verdict import Truth

PARIS = Truth("France", "Paris", 48.85, 2.35)
NAIROBI = Truth("Kenya", "Nairobi", -1.28, 36.82)
GIVERNY = Truth("France", "Giverny", 49.08, 1.53)
NOWHERE = Truth("", "", 0.0, 0.0)


def which(*truths):
    return slices(truths, lambda rows: rows.tolist())


def test_pictures_are_divided_by_continent_and_city_size_in_a_fixed_order():
    found = which(PARIS, NOWHERE, GIVERNY, NAIROBI, PARIS)
    assert found == {
        "continent": {"Africa": [3], "Europe": [0, 2, 4], "unknown": [1]},
        "city_size": {"1 million and more": [0, 3, 4], "less than 10,000": [2], "unknown": [1]},
    }
    assert list(found["continent"]) == ["Africa", "Europe", "unknown"]
    assert list(found["city_size"]) == ["1 million and more", "less than 10,000", "unknown"]


@pytest.mark.parametrize(
    "truth", [PARIS._replace(city=""), PARIS._replace(city="Nowhere at All"), NOWHERE._replace(city="Paris")]
)
def test_a_city_that_is_not_known_has_no_size(truth):
    assert which(truth)["city_size"] == {"unknown": [0]}


def test_sizes_are_tried_from_the_largest_and_every_city_has_one():
    least = list(CITY_SIZES.values())
    assert least == sorted(least, reverse=True)
    assert least[-1] == 0
