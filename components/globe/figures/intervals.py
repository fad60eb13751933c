"""95% intervals: score intervals for shares, a bootstrap for means and medians; both by photographer where one took several.

Shares get Wilson's score interval (1927), which Brown, Cai and DasGupta (2001) recommend at small n. It holds its level at the
edges too: 3 right answers of 3 make 43.85 to 100%, where a bootstrap, which only redraws what it saw, says 100 to 100%.

Pictures of one photographer resemble each other, so they say less than as many pictures of different people. Their shares get
the interval of an effective sample size: n over the design effect, corrected for the number of photographers (Korn and Graubard,
1998), in the same formula (Franco, Little, Louis and Slud, 2019). The bootstrap then draws photographers instead of pictures.

Distances are skewed, so means get the bootstrap-t interval, and the median an expanded percentile interval; both are explained in
Hesterberg, "What Teachers Should Know About the Bootstrap" (The American Statistician 69, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from globe.geo.distance import GEOSCORE_MAX, geoscore

ROUNDS_AT_ONCE = 50
"""Bootstrap rounds drawn together: few enough to fit in memory for tens of thousands of predictions."""
LEAST_FOR_MEDIAN = 6
"""Of fewer, not even the smallest and the largest have the median between them in 95% of samples: of 5, in 1 - 2 / 2**5."""
FARTHEST_KM = 20_004.0
"""Half a meridian: no two places are farther apart."""

Interval = list[float | None]
Z = NormalDist().inv_cdf(0.975)
"""Quantile of the normal distribution for a 95% interval."""
_FEW_T = (1e6, 12.7062, 4.3027, 3.1824, 2.7764)
"""Student's t at 97.5% for 0 (endless) to 4 degrees of freedom, where the series below is not yet exact."""


def wilson(shares: Any, n: Any) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95% score interval.

    Args:
        shares: Observed shares, 0 to 1.
        n: Number of observations of each, at least 1; an effective number need not be whole. Broadcast against `shares`.

    Returns:
        Lower and upper ends, 0 to 1.
    """
    shares, n = np.asarray(shares, dtype=np.float64), np.asarray(n, dtype=np.float64)
    centre = (shares + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(shares * (1 - shares) / n + Z**2 / (4 * n**2))
    return np.where(shares == 0, 0.0, np.maximum(centre - half, 0.0)), np.where(shares == 1, 1.0, np.minimum(centre + half, 1.0))


def percent(share: float) -> float:
    """A share as metrics.json has it."""
    return round(100.0 * float(share), 4)


def clusters_of(photographers: Sequence[str | None]) -> np.ndarray | None:
    """A number for each picture, the same for pictures of one photographer; None if nobody took two.

    Pictures without a photographer count as each someone else's.
    """
    import pandas as pd  # imported late, so that `globe --help` stays fast

    numbers, names = pd.factorize(np.array([name or None for name in photographers], dtype=object))
    if len(names) == (numbers >= 0).sum():
        return None
    return np.where(numbers >= 0, numbers, len(names) + np.arange(len(numbers)))


def units_of(clusters: np.ndarray | None, n: int) -> np.ndarray:
    """What a bootstrap draws, numbered from 0: whole clusters, or each of `n` pictures where there are none."""
    return np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]


def redraws(count: int, rounds: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each of `count` units is drawn in each round of a bootstrap, shape (rounds, count), some rounds at a time."""
    for start in range(0, rounds, ROUNDS_AT_ONCE):
        draws = rng.integers(0, count, size=(min(ROUNDS_AT_ONCE, rounds - start), count), dtype=np.int32)
        yield np.stack([np.bincount(draw, minlength=count) for draw in draws])


def effective_n(values: np.ndarray, groups: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    """Effective sample sizes: how many independent pictures would be as informative as those of each group.

    Args:
        values: One row a picture, one column a figure; from 0 to 1.
        groups: The group of each picture, numbered from 0.
        clusters: From `clusters_of`.

    Returns:
        One row a group, one column a figure. Never more than the group's pictures, and never less than they would be worth if
        each photographer's were all the same picture (Kish's n: the square of the sum over the sum of squares). Where all or
        none are right the data do not show how alike they are, and the least is taken.
    """
    n = np.bincount(groups).astype(np.float64)[:, None]
    shares = _totals(values, groups) / n
    if clusters is None:
        return np.broadcast_to(n, shares.shape)
    _, first, unit = np.unique(groups * (clusters.max() + 1) + clusters, return_index=True, return_inverse=True)
    sums = _totals(np.column_stack([values - shares[groups], np.ones(len(values))]), unit)
    squares = _totals(sums**2, groups[first])
    least = n**2 / squares[:, -1:]  # also how many equally busy photographers would be as informative
    with np.errstate(divide="ignore", invalid="ignore"):
        design_effect = squares[:, :-1] * least / (least - 1) / (n * shares * (1 - shares))
        found = n / np.maximum(design_effect, 1.0) * (student_t(n - 1) / student_t(least - 1)) ** 2
    varied = (shares > 0) & (shares < 1) & (least > 1)
    return np.clip(np.where(varied, found, 0.0), least, n)


def _totals(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums of rows by group; groups are numbered from 0."""
    totals = np.zeros((groups.max() + 1, *values.shape[1:]))
    np.add.at(totals, groups, values)
    return totals


def bootstrap(km: np.ndarray, clusters: np.ndarray | None, rounds: int, rng: np.random.Generator) -> dict[str, Interval]:
    """Intervals of the mean GeoScore, the mean distance and the median distance, all from the same draws.

    Args:
        km: Distances; infinite without a position.
        clusters: From `clusters_of`.
        rounds: How often to draw; if never, the means get only the bounds that need no draw, and the median nothing.
        rng: Draws.

    Returns:
        geoscore, mean_km (of those with a position) and median_km. An end that is not finite, or not known, is None.
    """
    units = units_of(clusters, len(km))
    placed = np.isfinite(km)
    means = {
        "geoscore": (geoscore(km) / GEOSCORE_MAX, np.full(len(km), True), GEOSCORE_MAX),
        "mean_km": (np.where(placed, km, 0.0) / FARTHEST_KM, placed, FARTHEST_KM),
    }
    sums = np.stack([_sums(values, counted, units) for values, counted, _ in means.values()], axis=1)
    totals, medians = _draw(sums, km, units, rounds, rng)
    found: dict[str, Interval] = {}
    for i, (name, (values, counted, most)) in enumerate(means.items()):
        low, high = _bounds(values[counted], None if clusters is None else clusters[counted])
        below, above = _bootstrap_t(sums[:, i].sum(axis=0), totals[:, i])
        ends = most * np.array([max(low, below), min(high, above)])
        found[name] = [round(float(end), 4) if np.isfinite(end) else None for end in ends]
    count = len(sums)
    if rounds and count >= LEAST_FOR_MEDIAN:
        beyond_percent = 100 * NormalDist().cdf(-float(student_t(count - 1)) * math.sqrt(count / (count - 1)))
        found["median_km"] = interval(medians, beyond_percent)
    elif rounds:
        found["median_km"] = [None, None]
    return found


def _bounds(values: np.ndarray, clusters: np.ndarray | None) -> tuple[float, float]:
    """The score interval of a mean of values from 0 to 1: right for few of them, too, since none vary more than a share does."""
    if not len(values):
        return math.nan, math.nan
    n = effective_n(values[:, None], np.zeros(len(values), dtype=np.int64), clusters)
    low, high = wilson(values.mean(), n[0, 0])
    return float(low), float(high)


def _sums(values: np.ndarray, counted: np.ndarray, units: np.ndarray) -> np.ndarray:
    """For each unit (a picture or a photographer) the sum s of its values and their number m, and s², s·m and m²."""
    s, m = np.bincount(units, values), np.bincount(units, counted)
    return np.stack([s, m, s * s, s * m, m * m], axis=1)


def _bootstrap_t(whole: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """The bootstrap-t interval of a mean: each draw's deviation is measured in standard errors of its own.

    Args:
        whole: Totals of `_sums` over all units.
        drawn: The same for each draw, shape (rounds, 5).

    Returns:
        Its ends; infinite where the draws do not say.
    """

    def mean_and_error(totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s, m, ss, sm, mm = np.moveaxis(totals, -1, 0)
        mean = s / m
        variance = ss - 2 * mean * sm + mean**2 * mm  # of a ratio, by linearisation
        return mean, np.sqrt(np.where(variance > 1e-9 * ss, variance, 0.0)) / m

    with np.errstate(invalid="ignore", divide="ignore"):
        mean, error = mean_and_error(whole)
        means, errors = mean_and_error(drawn)
        deviations = (means - mean) / errors
    deviations = deviations[~np.isnan(deviations)]
    if not len(deviations) or not error > 0:
        return -math.inf, math.inf
    low, high = np.percentile(deviations, [2.5, 97.5], method="nearest")
    return float(mean - high * error), float(mean - low * error)


def _draw(
    sums: np.ndarray, km: np.ndarray, units: np.ndarray, rounds: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """For each round the totals of what was drawn, and its median distance."""
    count, kinds = len(sums), sums.shape[1:]
    flat = sums.reshape(count, -1)
    order = np.argsort(km, kind="stable")
    ordered, owner = km[order], units[order]
    totals, medians = [np.zeros((0, flat.shape[1]))], [np.zeros(0)]
    for weights in redraws(count, rounds, rng):
        totals.append(weights.astype(np.float64) @ flat)
        seen = np.cumsum(weights[:, owner], axis=1)  # sorted by distance, so the median is found by counting
        low = np.array([np.searchsorted(row, (row[-1] + 1) // 2) for row in seen])
        high = np.array([np.searchsorted(row, row[-1] // 2 + 1) for row in seen])
        medians.append((ordered[low] + ordered[high]) / 2)
    return np.concatenate(totals).reshape(-1, *kinds), np.concatenate(medians)


def interval(values: np.ndarray, beyond_percent: float = 2.5) -> Interval:
    """The percentile interval of bootstrapped figures, with this share beyond each end; None for an end that is not finite."""
    low, high = np.percentile(values, [beyond_percent, 100 - beyond_percent], method="nearest")
    return [round(float(v), 4) if np.isfinite(v) else None for v in (low, high)]


def student_t(freedom: Any) -> np.ndarray:
    """Student's t at 97.5% (Abramowitz and Stegun 26.7.5), within 0.001 for whole degrees of freedom."""
    freedom, z = np.asarray(freedom, dtype=np.float64), Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        series = z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
    few = np.interp(freedom, np.arange(len(_FEW_T)), _FEW_T)
    return np.where(freedom <= len(_FEW_T) - 1, few, series)


def methods(rounds: int, clusters: np.ndarray | None) -> str:
    """What the intervals are, for a reader of the figures."""
    text = f"95%. Shares: Wilson score interval. GeoScore and mean: bootstrap-t, median: bootstrap percentiles ({rounds} rounds)."
    if clusters is None:
        return text
    people = len(np.unique(clusters))
    return f"{text} Clustered by photographer ({people}): effective sample sizes by design effect, whole photographers drawn."
