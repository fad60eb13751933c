"""How good a set of predictions is: accuracy by distance, distances, GeoScore and names, each with its interval.

A record (a mapping): ``{id, status, country, city, lat_deg, lon_deg, truth: {country, city, lat_deg, lon_deg}}``. Statuses:
"ok", "no_answer", "not_parsed", "not_geocoded", "cut_off", "call_failed". Every picture stays in the denominator: a prediction
without a position is wrong at every threshold, infinitely far for the median, and earns no GeoScore. Only the mean, which an
infinite distance would make meaningless, covers just the predictions that have a position (``mean_of`` says how many).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from globe.errors import InputError
from globe.evaluation.further import further_figures
from globe.evaluation.slices import slices
from globe.geo.distance import THRESHOLDS_KM, distances_km, geoscore
from globe.geo.verdict import Truth, judge
from globe.rewards.accuracy_original import match_original

NO_PREDICTION = ("no_answer", "not_parsed", "cut_off", "call_failed")
STATUSES = ("ok", *NO_PREDICTION, "not_geocoded")
NAME_KEYS = ("country_match", "city_match", "country_match_original", "city_match_original")
ROUNDS_AT_ONCE = 50
"""Bootstrap rounds drawn together: few enough to fit in memory for tens of thousands of predictions."""


def summarize(records: Sequence[Mapping[str, Any]], rounds: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Summary of predictions, the JSON of ``globe score``.

    Args:
        records: Predictions; the module's docstring lists their fields.
        rounds: Bootstrap rounds for the 95% percentile intervals.
        seed: Of the bootstrap; equal seeds give equal intervals.

    Returns:
        n; accuracy and country_match, city_match (percent); ci95 (low and high for each figure); median_km (None when half
        or more have no position), mean_km, mean_of, geoscore; parsed, geocoded, failed (counts, and the same
        with _percent) and failures by status; country_match_original and city_match_original (by the original's rule);
        slices by continent and city size.

    Raises:
        InputError: No records, a duplicate id, an unknown status, or a truth without position.
    """
    table = table_of(records)
    km, names, statuses = table.km, table.names, table.statuses
    rng = np.random.default_rng(seed)
    summary = _figures(km, names)
    summary["ci95"] = _intervals(km, names, rounds, rng)
    failures = Counter(s for s in statuses if s != "ok")
    summary["parsed"] = sum(s in ("ok", "not_geocoded") for s in statuses)
    summary["geocoded"] = int(np.isfinite(km).sum())
    summary["failed"] = len(statuses) - summary["geocoded"]
    summary["failures"] = {status: failures[status] for status in STATUSES[1:]}
    for name in ("parsed", "geocoded", "failed"):
        summary[f"{name}_percent"] = _percent(summary[name] / len(statuses))
    summary["rounds"], summary["seed"] = rounds, seed
    summary["slices"] = slices(table.truths, lambda rows: _figures(table.km[rows], table.names[rows]))
    return summary | further_figures(records, seed)


def name_matches(record: Mapping[str, Any]) -> tuple[bool, bool, bool, bool]:
    """Whether country and city are right by our rule, then by the original's (which judges the city without its country)."""
    truth = _truth(record)
    country, city = record.get("country") or "", record.get("city") or ""
    verdict = judge(truth, country, city)
    original = match_original(country.strip(), truth.country.strip()), match_original(city.strip(), truth.city.strip())
    return verdict.country_right, verdict.city_right, *original


def _truth(record: Mapping[str, Any]) -> Truth:
    """Where a record's picture was taken."""
    truth = record["truth"]
    return Truth(truth.get("country") or "", truth.get("city") or "", truth.get("lat_deg"), truth.get("lon_deg"))


class Table(NamedTuple):
    """Records as columns."""

    km: np.ndarray
    """Distances to the truth; infinite without a position."""
    names: np.ndarray
    """One row a record: a boolean for each of `NAME_KEYS`."""
    statuses: list[str]
    truths: list[Truth]


def table_of(records: Sequence[Mapping[str, Any]]) -> Table:
    """Checks records and puts them in columns.

    Raises:
        InputError: No records, a duplicate id, an unknown status, or a truth without position.
    """
    if not records:
        raise InputError("there are no predictions to score")
    seen: set[Any] = set()
    positions = np.full((len(records), 4), np.nan)
    statuses = []
    for i, record in enumerate(records):
        if record["id"] in seen:
            raise InputError(f"prediction {record['id']!r} is given twice; keep one")
        seen.add(record["id"])
        status = record.get("status") or "ok"
        if status not in STATUSES:
            raise InputError(f"prediction {record['id']!r}: status {status!r} is none of {', '.join(STATUSES)}")
        there = _truth(record).position_deg
        if there is None:
            raise InputError(f"prediction {record['id']!r}: its truth has no position")
        lat, lon = record.get("lat_deg"), record.get("lon_deg")
        if status == "ok" and (lat is None or lon is None):
            status = "not_geocoded"
        statuses.append(status)
        positions[i, 2:] = there
        if status == "ok":
            positions[i, :2] = lat, lon
    try:
        km = distances_km(*positions.T)
    except ValueError as error:
        raise InputError(str(error)) from error
    km = np.where(np.isnan(km), np.inf, km)
    names = np.array(
        [name_matches(r) if s in ("ok", "not_geocoded") else (False,) * 4 for r, s in zip(records, statuses, strict=True)]
    )
    return Table(km, names, statuses, [_truth(record) for record in records])


def _figures(km: np.ndarray, names: np.ndarray) -> dict[str, Any]:
    finite = km[np.isfinite(km)]
    median = float(np.median(km))
    return {
        "n": len(km),
        "accuracy": {str(t): _percent((km <= t).mean()) for t in THRESHOLDS_KM},
        "median_km": round(median, 3) if np.isfinite(median) else None,
        "mean_km": round(float(finite.mean()), 3) if len(finite) else None,
        "mean_of": len(finite),
        "geoscore": round(float(geoscore(km).mean()), 2),
        **{name: _percent(names[:, i].mean()) for i, name in enumerate(NAME_KEYS)},
    }


def _percent(share: Any) -> float:
    return round(100.0 * float(share), 4)


def _intervals(km: np.ndarray, names: np.ndarray, rounds: int, rng: np.random.Generator) -> dict[str, list[float | None]]:
    """Percentile bootstrap over predictions, all figures from the same draws."""
    n = len(km)
    within = km[:, None] <= np.array(THRESHOLDS_KM)
    finite = np.isfinite(km)
    columns = np.concatenate(
        [within, names, geoscore(km)[:, None], np.where(finite, km, 0.0)[:, None], finite[:, None]], axis=1
    ).astype(np.float64)
    order = np.argsort(km, kind="stable")
    columns, ordered = columns[order], km[order]
    means, medians = [], []
    for start in range(0, rounds, ROUNDS_AT_ONCE):
        count = min(ROUNDS_AT_ONCE, rounds - start)
        draws = rng.integers(0, n, size=(count, n), dtype=np.int32)
        weights = np.stack([np.bincount(d, minlength=n) for d in draws]).astype(np.float64)
        means.append(weights @ columns)
        seen = np.cumsum(weights, axis=1)  # sorted by distance, so the median is found by counting
        low = np.array([np.searchsorted(s, (n + 1) // 2) for s in seen])
        high = np.array([np.searchsorted(s, n // 2 + 1) for s in seen])
        medians.append((ordered[low] + ordered[high]) / 2)
    if not means:
        return {}
    total, median = np.concatenate(means), np.concatenate(medians)
    t = len(THRESHOLDS_KM)
    intervals: dict[str, list[float | None]] = {}
    for i, threshold in enumerate(THRESHOLDS_KM):
        intervals[str(threshold)] = interval(100 * total[:, i] / n)
    for i, name in enumerate(NAME_KEYS):
        intervals[name] = interval(100 * total[:, t + i] / n)
    intervals["geoscore"] = interval(total[:, -3] / n)
    with np.errstate(invalid="ignore", divide="ignore"):
        intervals["mean_km"] = interval(total[:, -2] / total[:, -1])
    intervals["median_km"] = interval(median)
    return intervals


def interval(values: np.ndarray) -> list[float | None]:
    """The 95% percentile interval of bootstrapped figures; None for an end that is not finite."""
    low, high = np.percentile(values, [2.5, 97.5], method="nearest")
    return [round(float(v), 4) if np.isfinite(v) else None for v in (low, high)]
