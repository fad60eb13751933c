"""The distance curve: for every distance at once, the share of pictures answered within it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from globe.geo.distance import counted_km
from globe.report import charts
from globe.report.accuracy import Evaluated
from globe.report.answers import Prediction
from globe.report.text import count, percent

NEAREST_KM, FARTHEST_KM = 1.0, 20_000.0
TICKS_KM = (1, 25, 200, 750, 2500, 20_000)
TABLE_KM = (1, 5, 10, 25, 50, 100, 200, 500, 750, 1000, 2500, 5000, 10_000)
POINTS = 181
ERROR = 0.05
"""One minus the confidence of the band."""


@dataclass(frozen=True)
class DistanceCurve:
    """One evaluation's curve, as SVG paths in a box of 0..1000 (distance, logarithmic) by 0..300 (share, upwards)."""

    series: int
    name: str
    n: str
    line: str
    band: str
    shares: list[str]
    """At each of `TABLE_KM`."""


def counted(predictions: Sequence[Prediction]) -> np.ndarray:
    """The distances in km at which answers count, ascending; infinite for those without a place."""
    km = [math.inf if p.distance_km is None else counted_km(p.distance_km, p.level) for p in predictions]
    return np.sort(np.array(km, dtype=np.float64))


def share_within(km: np.ndarray, limits_km: Sequence[float] | np.ndarray) -> np.ndarray:
    """Share (0 to 1) of ascending distances that are not above each limit."""
    return np.searchsorted(km, limits_km, side="right") / len(km)


def half_width(n: int) -> float:
    """Half the height of a band that holds the whole true curve with 95% probability, as a share.

    Dvoretzky, Kiefer and Wolfowitz (1956) with Massart's constant (1990): sqrt(ln(2 / 0.05) / 2n).
    """
    return math.sqrt(math.log(2 / ERROR) / (2 * n))


def distances(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """The curve of each evaluation that has predictions."""
    curves = [_curve(e, e.predictions) for e in evaluations if e.predictions]
    if not curves:
        return None
    return {
        "curves": curves,
        "ticks": [(charts.log_percent(km, NEAREST_KM, FARTHEST_KM), f"{km:,}") for km in TICKS_KM],
        "table_km": [f"{km:,} km" for km in TABLE_KM],
    }


def _curve(evaluation: Evaluated, predictions: list[Prediction]) -> DistanceCurve:
    km = counted(predictions)
    limits = np.geomspace(NEAREST_KM, FARTHEST_KM, POINTS)
    x = np.linspace(0, 1000, POINTS)
    share, half = share_within(km, limits), half_width(len(km))
    upper, lower = _path(x, np.minimum(share + half, 1)), _path(x[::-1], np.maximum(share - half, 0)[::-1])
    return DistanceCurve(
        series=evaluation.series,
        name=evaluation.name,
        n=count(len(km)),
        line=f"M{_path(x, share)}",
        band=f"M{upper}L{lower}Z",
        shares=[percent(100 * value) for value in share_within(km, TABLE_KM).tolist()],
    )


def _path(x: np.ndarray, share: np.ndarray) -> str:
    return "L".join(f"{at:.0f} {300 * (1 - value):.1f}" for at, value in zip(x.tolist(), share.tolist(), strict=True))
