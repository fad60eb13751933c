"""How many pictures decide: as tables say, and as often as promised."""

import math

import pytest
from scipy.stats import multinomial

from globe.errors import InputError
from globe.figures.paired import score_interval
from globe.figures.power import MOST, pictures_for, pictures_needed


def test_against_no_difference_the_number_is_connors() -> None:
    # n = (z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2 with psi = 0.25 and d = 0.1, worked out by hand.
    assert pictures_for(10, 0.25) == math.ceil((1.959964 * 0.5 + 0.841621 * math.sqrt(0.24)) ** 2 / 0.01)
    assert pictures_for(10, 0.0) == pictures_for(10, 0.1)  # they differ at least as often as the difference says


@pytest.mark.parametrize(
    ("wins", "losses", "limit"), [(0.06, 0.04, 0.0), (0.05, 0.05, -0.05), (0.04, 0.05, -0.02), (0.03, 0.09, -0.02)]
)
def test_so_many_pictures_decide_in_eighty_percent_of_the_cases(wins: float, losses: float, limit: float) -> None:
    n = pictures_needed(wins, losses, limit)
    counts = multinomial(n, [wins, losses, 1 - wins - losses]).rvs(4000, random_state=3)
    low, high = score_interval(counts[:, 0], counts[:, 1], n)
    decided = low > limit if wins - losses > limit else high < limit
    assert 0.77 <= decided.mean() <= 0.83


def test_models_that_never_differ_need_what_the_interval_alone_asks_for() -> None:
    n = pictures_needed(0.0, 0.0, -0.01)
    assert float(score_interval(0, 0, n)[0]) > -0.01 > float(score_interval(0, 0, n - 2)[0])


def test_no_number_decides_a_difference_at_the_limit() -> None:
    assert pictures_needed(0.04, 0.05, -0.01) is None
    assert pictures_for(1e-9, 0.1) == MOST
    for points in (0.0, -1.0, 101.0, math.nan):
        with pytest.raises(InputError, match="--power"):
            pictures_for(points, 0.1)
