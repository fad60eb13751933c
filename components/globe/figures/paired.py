"""95% intervals of differences between two models that were asked about the same pictures.

One rule for each kind of figure, at every n:

- Yes or no (within a distance, a name right): Tango's score interval (1998, Statistics in Medicine 17:891-908). It needs only how
  many pictures either model alone gets right, and holds its level at small n and with no such picture at all, where a bootstrap,
  which only redraws what it saw, says that the difference is exactly 0. For thousands of pictures the two agree.
- Amounts (GeoScore): the percentile interval of a paired bootstrap, both models with the same pictures in each draw.

Pictures of one photographer resemble each other, so they say less than as many pictures of different people. Tango's interval
then gets an effective number of pictures, and the bootstrap draws photographers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from globe.figures.intervals import Z, clusters_of, redraws, units_of

STEPS = 60
"""Halvings of [-1, 1]: to the last digit of a double."""


def score_interval(wins: Any, losses: Any, n: Any) -> tuple[np.ndarray, np.ndarray]:
    """Tango's 95% score interval for a difference of paired proportions.

    Args:
        wins: Pictures that only B gets right.
        losses: Pictures that only A gets right.
        n: All pictures. The three are broadcast, and need not be whole.

    Returns:
        Lower and upper end of the difference B minus A, -1 to 1.
    """
    wins, losses, n = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (wins, losses, n)))
    return _lower_end(wins, losses, n), -_lower_end(losses, wins, n)


def variance_under(difference: Any, wins: Any, losses: Any, n: Any) -> Any:
    """Variance of one picture's difference, were the true difference this one.

    Args:
        difference: The assumed difference B minus A, -1 to 1.
        wins: Pictures that only B gets right.
        losses: Pictures that only A gets right.
        n: All pictures.

    Returns:
        2 q + d (1 - d), where q is the most likely probability that only A is right, given d (Tango 1998, equations 24 to 26).
    """
    b = (2 * n - wins + losses) * difference - wins - losses
    c = -losses * difference * (1 - difference)
    q = (np.sqrt(np.maximum(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    return np.maximum(2 * q + difference * (1 - difference), 0.0)


def _lower_end(wins: np.ndarray, losses: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The smallest difference that the score test does not refuse, found by halving."""
    low, high = np.full(wins.shape, -1.0), (wins - losses) / n
    for _ in range(STEPS):
        middle = (low + high) / 2
        refused = wins - losses - n * middle > Z * np.sqrt(n * variance_under(middle, wins, losses, n))
        low, high = np.where(refused, middle, low), np.where(refused, high, middle)
    return low


def photographers(names: Sequence[str | None]) -> np.ndarray:
    """A number for each picture, the same for those of one photographer; without one, a picture is like no other."""
    return units_of(clusters_of(names), len(names))


def design_effect(differences: np.ndarray, groups: np.ndarray) -> float:
    """How many pictures are worth one that is independent of all others: the variance of the mean over that without groups.

    Args:
        differences: Of each picture.
        groups: From `photographers`.

    Returns:
        At least 1; at most that of groups whose pictures are all alike (n over Kish's n), which is also taken if no picture
        differs, so that the data cannot tell.
    """
    sizes = np.bincount(groups)
    if len(sizes) == len(groups):
        return 1.0
    most = float((sizes**2).sum() / len(groups))
    residuals = differences - differences.mean()
    alone = float((residuals**2).sum())
    if not alone or len(sizes) == 1:
        return most
    together = float((np.bincount(groups, residuals) ** 2).sum()) * len(sizes) / (len(sizes) - 1)
    return min(max(together / alone, 1.0), most)


def bootstrap_interval(differences: np.ndarray, groups: np.ndarray, rounds: int, seed: int) -> list[float] | None:
    """The percentile interval of a mean difference; whole groups are drawn.

    Two groups are added before the draws, one with a gain and one with a loss of the usual size: where few pictures differ, draws
    of those alone make intervals that are too narrow (as Bonett and Price 2012, J. Educ. Behav. Stat. 37:479, do for shares).

    Args:
        differences: Of each picture.
        groups: From `photographers`.
        rounds: How often to draw.
        seed: Of the draws.

    Returns:
        Lower and upper end; None without a draw, or if no picture differs, so that the data cannot tell.
    """
    sums, sizes = np.bincount(groups, differences), np.bincount(groups).astype(np.float64)
    if not rounds or not sums.any():
        return None
    usual = float(np.sqrt((sums[sums != 0] ** 2).mean()))
    parts = np.stack([np.append(sums, [usual, -usual]), np.append(sizes, [sizes.mean()] * 2)], axis=1)
    rng, means = np.random.default_rng(seed), []
    for weights in redraws(len(parts), rounds, rng):
        totals = weights @ parts
        means.append(totals[:, 0] / totals[:, 1])
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5], method="nearest")
    return [float(low), float(high)]
