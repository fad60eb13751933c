"""The original's accuracy: its own rule and parser, with their faults."""

import pytest
from kenya import said, score

from globe.rewards.accuracy_original import match_original, parse_original


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
