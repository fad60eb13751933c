"""The distance reward: by kilometres, and never against the country."""

import pytest
from kenya import said, score

from globe.rewards.distance import graded


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
