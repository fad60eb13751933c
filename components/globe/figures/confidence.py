"""What a model's confidence is worth: is it as often right as it says, and are its surest answers its best?

Two numbers serve as confidence: the probability that the model gave its answer, and the share of several sampled answers that
agree with it. Right means within 25 km; the answer of a country alone never is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from globe.figures.intervals import clusters_of, effective_n, percent, wilson
from globe.figures.predictions import level_of
from globe.geo.distance import counted_km, distances_km, valid_position

SIGNALS = {"answer_probability": "confidence", "agreement": "agreement"}
"""What serves as confidence -> the field of a record that has it."""
CITY_KM = 25.0
BINS = 10
MOST_POINTS = 100
"""Of a risk-coverage curve: more than anybody can see."""

Records = Sequence[Mapping[str, Any]]


def calibration(records: Records) -> dict[str, Any]:
    """Calibration and risk-coverage curve of each kind of confidence that the records have.

    Args:
        records: Predictions, as `globe.figures.predictions` defines them.

    Returns:
        By kind: n (answers with a usable confidence), ignored (confidences that are no probability), ece_percent, bins (those of
        ten equal ones that are not empty), risk_coverage, and aurc (0 to 1, smaller is better).
    """
    right, clusters = within_city(records), photographers(records)
    found = {}
    for name, field in SIGNALS.items():
        confidence = signal(records, name)
        usable = np.isfinite(confidence)
        ignored = sum(record.get(field) is not None for record in records) - int(usable.sum())
        if usable.any():
            curve, aurc = risk_coverage(confidence[usable], right[usable])
            found[name] = {
                "n": int(usable.sum()),
                "ignored": ignored,
                **reliability(confidence[usable], right[usable], None if clusters is None else clusters[usable]),
                "risk_coverage": curve,
                "aurc": aurc,
            }
    return found


def photographers(records: Records) -> np.ndarray | None:
    """Which pictures one person took, as `globe.figures.intervals.clusters_of` numbers them."""
    return clusters_of([str(named) if (named := photographer(record)) else None for record in records])


def photographer(record: Mapping[str, Any]) -> Any:
    """Who took a record's picture, if the data set says."""
    return (record.get("truth") or {}).get("photographer")


def signal(records: Records, name: str) -> np.ndarray:
    """A confidence of each record, in [0, 1]; NaN where there is none, or a number that is no probability."""
    return np.array([_probability(record.get(SIGNALS[name])) for record in records], dtype=float)


def _probability(value: Any) -> float:
    number = _number(value)
    return number if 0 <= number <= 1 else math.nan


def distances(records: Records) -> np.ndarray:
    """Distance in km from each answer to the truth; NaN where either has no position."""
    positions = np.array([position_deg(record) + position_deg(record.get("truth")) for record in records], dtype=float).reshape(
        -1, 4
    )
    return distances_km(*positions.T)


def _number(value: Any) -> float:
    numeric = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 360  # an int may fit no float
    return float(value) if numeric else math.nan


def position_deg(place: Any) -> tuple[float, float]:
    """Latitude and longitude of an answer or a truth; NaN for both where it has none."""
    lat, lon = (_number(place.get(name)) if isinstance(place, Mapping) else math.nan for name in ("lat_deg", "lon_deg"))
    return (lat, lon) if valid_position(lat, lon) else (math.nan, math.nan)


def names_country_only(records: Records) -> np.ndarray:
    """Whether each answer's position is that of a country as a whole."""
    return np.array([level_of(record) == "country" for record in records], dtype=bool)


def within_city(records: Records) -> np.ndarray:
    """Whether each answer is within 25 km of the truth, which the answer of a country alone never is."""
    levels = ("country" if only else "" for only in names_country_only(records))
    return np.array([counted_km(km, level) <= CITY_KM for km, level in zip(distances(records), levels, strict=True)], dtype=bool)


def reliability(confidence: np.ndarray, right: np.ndarray, clusters: np.ndarray | None = None) -> dict[str, Any]:
    """Expected calibration error over ten equal bins (Guo et al. 2017, arXiv 1706.04599, section 2, equation 3).

    Args:
        confidence: In [0, 1].
        right: Whether each answer is right.
        clusters: Which answers belong together, see `photographers`.

    Returns:
        ece_percent; bins, each from `low`, which it does not include (but for 0), to `high`, which it does.
    """
    inner = np.arange(1, BINS) / BINS
    place = np.digitize(confidence, inner, right=True)
    bins, error = [], 0.0
    for at in np.unique(place):
        here = place == at
        said, share = float(confidence[here].mean()), float(right[here].mean())
        error += int(here.sum()) * abs(said - share)
        bins.append(
            {
                "low": int(at) / BINS,
                "high": (int(at) + 1) / BINS,
                "n": int(here.sum()),
                "confidence_percent": percent(said),
                "right_percent": percent(share),
                "ci95": share_interval(right[here], None if clusters is None else clusters[here]),
            }
        )
    return {"ece_percent": percent(error / len(confidence)), "bins": bins}


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[list[dict[str, float]], float]:
    """How good the surest answers are (El-Yaniv & Wiener 2010, JMLR 11:1605, section 2), and the area under their risk.

    Equally sure answers are taken together; within them the area counts the mean over all their orders.

    Args:
        confidence: In [0, 1].
        right: Whether each answer is right.

    Returns:
        At most 100 points: coverage_percent (share of the answers that are kept, the surest first) and right_percent (of those);
        and the mean risk over all coverages 1/n, 2/n, ... 1 (AURC; Geifman et al. 2019, arXiv 1805.08206, section 2).
    """
    order = np.argsort(-confidence, kind="stable")
    sure, errors = confidence[order], np.cumsum(~right[order])
    ends = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))
    kept = np.arange(1, len(sure) + 1)
    expected = np.interp(kept, [0, *(ends + 1)], [0, *errors[ends]])
    shown = np.unique(np.linspace(0, len(ends) - 1, MOST_POINTS).round().astype(int))
    curve = [
        {"coverage_percent": percent((end + 1) / len(sure)), "right_percent": percent(1 - errors[end] / (end + 1))}
        for end in ends[shown]
    ]
    return curve, round(float((expected / kept).mean()), 6)


def share_interval(hits: np.ndarray, clusters: np.ndarray | None) -> list[float]:
    """95% score interval of a share, in percent.

    Args:
        hits: Whether each case counts, at least one.
        clusters: Which cases belong together, and so tell less than as many that do not; None if none do.
    """
    n = effective_n(hits.astype(float)[:, None], np.zeros(len(hits), dtype=int), clusters)[0, 0]
    return [percent(float(end)) for end in wilson(hits.mean(), n)]
