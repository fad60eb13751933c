"""Intervals of paired differences: as published, as an independent computation finds them, and as often right as they say."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import multinomial

from globe.figures.paired import bootstrap_interval, design_effect, photographers, score_interval, variance_under
from globe.geo.distance import geoscore


def by_likelihood(wins: int, losses: int, n: int) -> tuple[float, float]:
    """The score interval from the multinomial likelihood alone, maximised by a general search, ends found by a root finder."""

    def statistic(difference: float) -> float:
        def minus_likelihood(loss: float) -> float:
            shares = np.clip([loss + difference, loss, 1 - 2 * loss - difference], 1e-300, 1)
            return -float(np.array([wins, losses, n - wins - losses]) @ np.log(shares))

        least, most = max(0.0, -difference), (1 - difference) / 2
        loss = minimize_scalar(minus_likelihood, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
        return (wins - losses - n * difference) / np.sqrt(n * (2 * loss + difference - difference**2))

    observed = (wins - losses) / n
    low = brentq(lambda d: statistic(d) - 1.959964, -1 + 1e-6, observed - 1e-9)
    return low, brentq(lambda d: statistic(d) + 1.959964, observed + 1e-9, 1 - 1e-6)


def test_an_interval_is_that_of_a_published_example() -> None:
    # Airway reactivity, 1 and 7 discordant of 21 children: Fagerland, Lydersen and Laake (2014, Stat Med 33:2850), table IV.
    low, high = score_interval(1, 7, 21)
    assert (round(float(low), 3), round(float(high), 3)) == (-0.517, -0.026)
    # Soft contact lenses, 0 and 1 of 44: Tango's own example (1998, section 6.1), whose statistic at a margin of 0.1 is 1.709.
    assert (0 - 1 + 44 * 0.1) / np.sqrt(44 * variance_under(-0.1, 0, 1, 44)) == pytest.approx(1.709, abs=5e-4)


@pytest.mark.parametrize(("wins", "losses", "n"), [(1, 7, 21), (3, 2, 20), (20, 14, 315), (40, 61, 1000), (600, 550, 12000)])
def test_an_interval_is_that_of_the_likelihood(wins: int, losses: int, n: int) -> None:
    assert [float(end) for end in score_interval(wins, losses, n)] == pytest.approx(by_likelihood(wins, losses, n), abs=1e-5)


def test_models_that_never_differ_have_an_interval_all_the_same() -> None:
    low, high = score_interval(0, 0, [3, 20, 315])
    assert high == pytest.approx(1.959964**2 / (np.array([3, 20, 315]) + 1.959964**2), abs=1e-6)
    assert low == pytest.approx(-high)
    low, high = score_interval(5, 0, 5)
    assert 0.0 < float(low) < 0.2
    assert float(high) == 1.0


@pytest.mark.parametrize(
    ("n", "wins", "losses"), [(100, 0.10, 0.05), (100, 0.2, 0.2), (1000, 0.06, 0.07), (1000, 0.03, 0.01), (12000, 0.05, 0.05)]
)
def test_intervals_cover_the_truth_in_93_to_97_percent(n: int, wins: float, losses: float) -> None:
    counts = multinomial(n, [wins, losses, 1 - wins - losses]).rvs(20_000, random_state=1)
    low, high = score_interval(counts[:, 0], counts[:, 1], n)
    assert 0.93 <= ((low <= wins - losses) & (wins - losses <= high)).mean() <= 0.97


def test_for_thousands_of_pictures_the_bootstrap_says_the_same() -> None:
    rng = np.random.default_rng(0)
    differences = rng.choice([1.0, -1.0, 0.0], p=[0.06, 0.05, 0.89], size=5000)
    found = bootstrap_interval(differences, np.arange(5000), 2000, 0)
    ends = score_interval((differences > 0).sum(), (differences < 0).sum(), 5000)
    assert found == pytest.approx([float(end) for end in ends], abs=0.001)


def test_bootstrap_intervals_of_amounts_cover_the_truth_in_93_to_97_percent() -> None:
    rng, shape = np.random.default_rng(4), (8000, 150)

    def some(right: float) -> np.ndarray:
        return geoscore(np.where(rng.random(shape) < right, rng.exponential(300, shape), rng.uniform(2000, 15000, shape)))

    a = some(0.6)
    differences = np.where(rng.random(shape) < 0.8, 0.0, some(0.65) - a)  # the two answer differently about a fifth
    groups, truth = np.arange(150), differences.mean()
    found = [bootstrap_interval(row, groups, 400, seed) for seed, row in enumerate(differences[:800])]
    assert 0.93 <= np.mean([low <= truth <= high for low, high in found]) <= 0.97
    assert bootstrap_interval(np.zeros(150), groups, 400, 0) is None  # the data cannot tell how alike the two are


def test_pictures_of_one_photographer_count_as_what_they_say() -> None:
    groups = photographers(["ann", "bob", "ann", None, ""])
    assert groups.tolist() == [0, 1, 0, 2, 3]
    assert design_effect(np.array([1.0, 0, 0, -1, 0]), np.arange(5)) == 1.0
    alike = np.repeat([1.0, -1, 0, 0], 25)  # four photographers whose pictures are all alike are no more than four pictures
    assert design_effect(alike, np.repeat(np.arange(4), 25)) == pytest.approx(25)
    assert design_effect(np.zeros(100), np.repeat(np.arange(4), 25)) == pytest.approx(25)


def test_clustered_intervals_cover_the_truth_where_others_do_not() -> None:
    rng, groups, counts, effects = np.random.default_rng(2), np.repeat(np.arange(80), 5), [], []
    for _ in range(2000):
        taste = np.repeat(rng.choice([1, -1, 0], p=[0.2, 0.2, 0.6], size=80), 5)
        differences = taste * (rng.random(400) < 0.8)
        counts.append([(differences > 0).sum(), (differences < 0).sum(), 400])
        effects.append(design_effect(differences.astype(float), groups))

    def covered(effect: np.ndarray) -> float:
        low, high = score_interval(*(np.array(counts).T / effect))
        return float(((low <= 0) & (high >= 0)).mean())

    assert 0.93 <= covered(np.array(effects)) <= 0.97
    assert covered(np.ones(2000)) < 0.8
