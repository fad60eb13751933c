"""Accuracy: by places, whatever they are called."""

from typing import Any

import pytest
from kenya import NAIROBI, said, score
from place_names import COUNTRY_ALONE, RIGHT, WRONG

from globe.errors import InputError
from globe.geo.verdict import Truth
from globe.rewards import REWARDS


@pytest.mark.parametrize(
    ("completion", "solution", "expected"),
    [
        (said("Kenya", "Nairobi"), {}, 1.0),
        (said("Kenya", "Mombasa"), {}, 0.2),
        (said("Tanzania", "Nairobi"), {}, 0.0),
        (said("Germany", "München"), {"country": "Deutschland", "city": "Munich"}, 1.0),
        (said("USA", "New York"), {"country": "United States", "city": "New York City"}, 1.0),
        (said("United States of America", "São Paulo"), {"country": "United States", "city": "Boston"}, 0.2),
        (said("Niger", "Niamey"), {"country": "Nigeria", "city": "Lagos"}, 0.0),
        (said("Russia", "Omsk"), {"country": "Russia", "city": "Tomsk", "lat_deg": 56.5, "lon_deg": 84.98}, 0.2),
        (said("chin", "Beijing"), {"country": "China", "city": "Beijing"}, 0.0),
        (said("Kenya", "Nairobi or Mombasa"), {}, 0.0),
        (said("China", "Hong Kong"), {"country": "Hong Kong", "city": "Hong Kong", "lat_deg": 22.3, "lon_deg": 114.2}, 1.0),
        (
            said("United States", "Paris, Texas"),
            {"country": "United States", "city": "Paris", "lat_deg": 36.30, "lon_deg": -88.33},
            0.2,
        ),
        (
            said("United States", "Paris, Tennessee"),
            {"country": "United States", "city": "Paris", "lat_deg": 36.30, "lon_deg": -88.33},
            1.0,
        ),
        (said("Kenya", ""), {}, 0.2),
        (said("", "Nairobi"), {}, 0.0),
    ],
)
def test_accuracy_is_the_papers_with_places_instead_of_spellings(
    completion: str, solution: dict[str, Any], expected: float
) -> None:
    assert score("accuracy", completion, **solution) == pytest.approx(expected)


def test_a_row_without_a_city_is_scored_on_the_country_up_to_the_full_reward() -> None:
    assert score("accuracy", said("Kenya", "Mombasa"), city="") == 1.0
    assert score("accuracy", said("Kenya", "Mombasa"), city=None) == 1.0
    assert score("accuracy", said("Uganda", "Mombasa"), city="") == 0.0


@pytest.mark.parametrize(
    ("places", "expected"), [(RIGHT, 1.0), (COUNTRY_ALONE, 0.2), (WRONG, 0.0)], ids=["right", "country alone", "wrong"]
)
def test_the_reward_follows_the_verdict(places: list[tuple[Truth, str, str]], expected: float) -> None:
    for truth, country, city in places:
        assert score("accuracy", said(country, city), **truth._asdict()) == expected, (truth, country, city)


@pytest.mark.parametrize("name", ["accuracy", "accuracy_original", "distance"])
@pytest.mark.parametrize(
    "row",
    [
        {}, {"solution": None}, {"solution": "Kenya"},
        {"solution": {}}, {"solution": {"country": ""}}, {"solution": {"country": 3}},
        *[{"solution": {**NAIROBI, **wrong}} for wrong in (
            {"city": 3}, {"lat_deg": 91}, {"lon_deg": None}, {"lat_deg": float("nan")}, {"lat_deg": "1"}, {"lat_deg": []},
        )],
    ],
)  # fmt: skip
def test_a_broken_row_is_an_error_that_names_the_row(name: str, row: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"picture-7.*solution"):
        REWARDS[name](said("Kenya", "Nairobi"), {"id": "picture-7", **row})
