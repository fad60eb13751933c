"""Accuracy: ours by places, the original's by its own rule, and by kilometres."""

from typing import Any

import pytest

from globe.errors import InputError
from globe.rewards import REWARDS
from globe.rewards.accuracy_original import match_original, parse_original
from globe.rewards.distance import graded

NAIROBI = {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.2833, "lon_deg": 36.8167}


def said(country: str, city: str) -> str:
    return f"<think>red earth</think><answer>country: {country}\ncity: {city}</answer>"


def score(name: str, completion: Any, **solution: Any) -> float:
    return REWARDS[name](completion, {"solution": {**NAIROBI, **solution}, "entities": []}).score


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
    ("predicted", "true", "matches"),
    [
        ("Niger", "Nigeria", True), ("chin", "China", True), ("india", "Indiana", True), ("New York City", "New York", False),
        ("United States of America", "United States", False), ("USA", "United States", False), ("Munich", "München", False),
        ("São Paulo", "Sao Paulo", False), ("Omsk", "Tomsk", True), ("", "Kenya", False), ("Kenya", "", False),
        ("KENYA", "kenya", True),
    ],
)  # fmt: skip
def test_the_originals_rule_is_kept_with_its_faults(predicted: str, true: str, matches: bool) -> None:
    assert match_original(predicted, true) is matches


def test_the_originals_reward_and_parser_are_kept_with_their_faults() -> None:
    assert score("accuracy_original", said("Kenya", "Nairobi")) == 1.0
    assert score("accuracy_original", said("Kenya", "Mombasa")) == 0.2
    assert score("accuracy_original", said("United States of America", "Boston"), country="United States", city="Boston") == 0.0
    assert score("accuracy_original", said("Kenya", "Nairobi"), city="") == 0.2
    assert parse_original("<answer>Country: France\nCity: Paris</answer>") == ("", "")
    assert parse_original("<answer>**country:** France</answer>") == ("** france", "")
    assert parse_original("<answer>country:\ncity: Paris</answer>") == ("city: paris", "paris")
    assert parse_original("<answer>country: x, city: y</answer>") == ("x, city: y", "y")
    assert parse_original("country: France\ncity: Paris") == ("", "")


def test_distance_falls_with_the_kilometres_through_the_fields_thresholds() -> None:
    assert [graded(km) for km in (0, 1, 25, 200, 750, 2500, 2501)] == pytest.approx([1, 1, 0.8, 0.6, 0.4, 0.2, 0])
    assert score("distance", said("Kenya", "Nairobi")) == 1.0
    assert 0.4 < score("distance", said("Kenya", "Mombasa")) < 0.6


def test_no_wrong_country_earns_more_than_any_right_one() -> None:
    across = score("distance", said("Tanzania", "Arusha"))
    far = score("distance", said("Kenya", "Mandera"))
    unknown = score("distance", said("Kenya", "Nowhereville"))
    assert across <= 0.2 <= unknown <= far
    assert score("distance", said("Atlantis", "Nowhereville")) == 0.0


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
