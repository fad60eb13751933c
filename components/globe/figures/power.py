"""How many pictures a comparison needs, from how often the two models differ."""

from __future__ import annotations

import math
from statistics import NormalDist

from globe.errors import InputError
from globe.figures.intervals import Z
from globe.figures.paired import variance_under

POWER = 0.8
MOST = 1_000_000_000
"""More pictures than anybody has: the difference lies at the limit, and no number of pictures would decide."""


def pictures_needed(wins: float, losses: float, limit: float = 0.0, power: float = POWER) -> int | None:
    """How many pictures show, with this probability, that the difference B minus A is not the limit.

    Args:
        wins: Share of pictures that only B gets right, 0 to 1.
        losses: Share of pictures that only A gets right.
        limit: The difference that is to be ruled out at 95%: 0, or minus the margin of a non-inferiority test.
        power: The probability.

    Returns:
        The number by Nam (1997, Biometrics 53:1422), which for a limit of 0 is Connor's for McNemar's test (1987, Biometrics
        43:207); None if the difference lies at the limit.
    """
    difference = wins - losses
    assumed = float(variance_under(limit, wins, losses, 1.0))
    true = max(wins + losses - difference**2, 0.0)
    gap = difference - limit
    deviations = Z * math.sqrt(assumed) + NormalDist().inv_cdf(power) * math.sqrt(true)
    if abs(gap) * math.sqrt(MOST) <= deviations:
        return None
    return math.ceil((deviations / gap) ** 2)


def pictures_for(points: float, discordant: float, power: float = POWER) -> int:
    """How many pictures show a difference of so many points between two models that differ this often.

    Args:
        points: The difference in percentage points, above 0 and at most 100.
        discordant: Share of pictures that only one of them gets right; at least the difference itself is assumed.
        power: The probability that it is shown.

    Returns:
        The number.

    Raises:
        InputError: No such difference.
    """
    if not 0 < points <= 100:
        raise InputError(f"--power {points:g}: give a difference in percentage points, above 0 and at most 100")
    difference = points / 100
    either = max(discordant, difference)
    needed = pictures_needed((either + difference) / 2, (either - difference) / 2, power=power)
    return MOST if needed is None else needed
