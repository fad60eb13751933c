"""Intervals hold what they promise: 95% of those of simulated data sets cover the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from globe.figures.intervals import FARTHEST_KM, bootstrap, clusters_of, effective_n, percent, student_t, wilson
from globe.geo.distance import geoscore

PROMISED = (0.93, 0.97)
"""Of simulated data sets, whose interval covers the truth."""


def kept(low, high, truth):
    """Whether the promise is kept."""
    share = np.mean((low <= truth) & (truth <= high))
    return PROMISED[0] <= share <= PROMISED[1], share


def percent_interval(hits, n):
    """The interval of independent pictures, as metrics.json has it."""
    return [percent(end) for end in wilson(hits / n, n)]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 97, 12_000])
def test_a_shares_interval_is_scipys_wilson_interval(n):
    for hits in sorted({0, 1, n // 3, n - 1, n}):
        expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
        assert percent_interval(hits, n) == pytest.approx([100 * expected.low, 100 * expected.high], abs=1e-4)


def test_everything_right_or_wrong_is_no_certainty():
    assert percent_interval(3, 3) == [43.8503, 100.0]
    assert percent_interval(0, 3) == [0.0, 56.1497]


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_shares_intervals_cover_the_truth(n, p):
    hits = np.random.default_rng(1).binomial(n, p, 20_000)
    assert kept(*wilson(hits / n, n), p)[0]


def photographers(rng, count, mean):
    """Whose each picture is: some took many."""
    return np.repeat(np.arange(count), rng.geometric(1 / mean, count))


@pytest.mark.parametrize("likeness", [0.1, 0.3])
@pytest.mark.parametrize("p", [0.3, 0.9])
def test_shares_intervals_cover_the_truth_where_photographers_took_several(p, likeness):
    rng = np.random.default_rng(2)
    whose = photographers(rng, 150, 4)
    alike = rng.beta(p * (1 / likeness - 1), (1 - p) * (1 / likeness - 1), (150, 3000))  # one data set a column
    hits = (rng.random((len(whose), 3000)) < alike[whose]).astype(float)
    (n,) = effective_n(hits, np.zeros_like(whose), whose)
    shares = hits.mean(axis=0)
    assert kept(*wilson(shares, n), p)[0]
    assert kept(*wilson(shares, len(whose)), p)[1] < PROMISED[0]  # taken for independent they would claim too much


def test_an_effective_number_lies_between_photographers_and_pictures():
    whose = np.repeat(np.arange(30), 4)
    halves = (whose >= 15).astype(int)
    mixed, same, all_right = np.tile([0.0, 1.0], 60), whose % 2, np.ones(120)
    n = effective_n(np.column_stack([mixed, same, all_right]), halves, whose)
    assert n[:, 1:] == pytest.approx(np.full((2, 2), 15))
    assert n[:, 0] == pytest.approx(60 * (stats.t.ppf(0.975, 59) / stats.t.ppf(0.975, 14)) ** 2, rel=1e-3)
    assert (effective_n(mixed[:, None], halves, None) == 60).all()
    assert effective_n(mixed[:4, None], np.zeros(4, dtype=int), np.zeros(4, dtype=int)) == 1


def drawn(rng, n):
    """Distances like a model's: nearly half in the right city, the rest over the world, a few nowhere."""
    near, far = np.exp(rng.normal(1, 1.5, n)), np.minimum(np.exp(rng.normal(7, 1, n)), FARTHEST_KM)
    return np.where(rng.random(n) < 0.03, np.inf, np.where(rng.random(n) < 0.45, near, far))


def covered(truth, draw, rounds=400, runs=400):
    """For each figure, whether its intervals kept the promise, and how many covered the truth."""
    rng = np.random.default_rng(4)
    ends = {name: np.zeros((runs, 2)) for name in truth}
    for run in range(runs):
        km, whose = draw(rng)
        found = bootstrap(km, whose, rounds, rng)
        for name in truth:
            ends[name][run] = [math.inf if end is None else end for end in found[name]]
    return {name: kept(*ends[name].T, truth[name]) for name in truth}


def test_bootstrap_intervals_cover_the_truth():
    everything = drawn(np.random.default_rng(5), 2_000_000)
    truth = {
        "geoscore": geoscore(everything).mean(),
        "mean_km": everything[np.isfinite(everything)].mean(),
        "median_km": np.median(everything),
    }
    found = covered(truth, lambda rng: (drawn(rng, 100), None))
    assert all(good for good, _ in found.values()), found


def test_bootstrap_intervals_cover_the_truth_where_photographers_took_several():
    def draw(rng, count=60):
        whose = photographers(rng, count, 4)
        right = rng.random(len(whose)) < rng.beta(0.9, 1.1, count)[whose]
        away = rng.normal(0, 0.5, count)[whose]
        scatter = rng.normal(np.where(right, 1, 7), np.where(right, 1.5, 1))
        return np.minimum(np.exp(scatter + away), FARTHEST_KM), whose

    everything = draw(np.random.default_rng(6), 300_000)[0]
    truth = {"geoscore": geoscore(everything).mean(), "mean_km": everything.mean(), "median_km": np.median(everything)}
    found = covered(truth, draw)
    assert all(good for good, _ in found.values()), found


def test_means_of_very_few_or_of_equal_distances_have_the_interval_of_a_share():
    rng = np.random.default_rng(0)
    for km in (np.zeros(1), np.zeros(3), np.zeros(200)):
        low, high = bootstrap(km, None, 100, rng)["geoscore"]
        assert [low, high] == pytest.approx([50 * end for end in percent_interval(len(km), len(km))], abs=0.01)
    assert bootstrap(np.full(5, np.inf), None, 100, rng)["mean_km"] == [None, None]
    for count in range(1, 6):  # all five of a sample lie on one side of the median in 1 of 16
        assert bootstrap(np.arange(float(count)), None, 100, rng)["median_km"] == [None, None]
    assert bootstrap(np.arange(6.0), None, 1000, rng)["median_km"] == [0, 5]
    assert bootstrap(np.arange(9.0), None, 0, rng).keys() == {"geoscore", "mean_km"}


def test_a_bootstrap_agrees_with_scipys_on_a_large_sample():
    km = drawn(np.random.default_rng(8), 3000)
    found = bootstrap(km, None, 2000, np.random.default_rng(9))
    for name, values, figure in (("geoscore", geoscore(km), np.mean), ("median_km", km, np.median)):
        theirs = stats.bootstrap((values,), figure, n_resamples=2000, method="percentile", rng=np.random.default_rng(10))
        ends = theirs.confidence_interval
        assert found[name] == pytest.approx(list(ends), abs=0.15 * (ends.high - ends.low))


def test_pictures_are_clustered_only_where_somebody_took_two():
    assert clusters_of(["a", "b", None, None, ""]) is None
    found = clusters_of(["a", "b", "a", None, None])
    assert found is not None
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 4


def test_students_t_is_scipys():
    freedom = np.array([1, 2, 3, 4, 5, 6, 9, 30, 1000])
    assert student_t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)
