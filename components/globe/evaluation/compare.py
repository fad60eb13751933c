"""Compare two models on the same pictures: paired differences with intervals, and a verdict.

Both models are resampled with the same pictures (a paired bootstrap), so pictures that are easy or hard for both cancel out,
and the interval of a difference is much narrower than the two models' own intervals suggest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from globe.errors import InputError
from globe.evaluation.metrics import NAME_KEYS, ROUNDS_AT_ONCE, Table, interval, table_of
from globe.geo.distance import THRESHOLDS_KM, geoscore

VERDICT_KM = 25
"""The city threshold decides the verdict: it is the smallest that a city's name can reach."""


def compare(
    records_a: Sequence[Mapping[str, Any]], records_b: Sequence[Mapping[str, Any]], rounds: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Differences B minus A over the same ids.

    Returns:
        n; accuracy {threshold: {a, b, difference, ci95}} and country_match, city_match (percent points), geoscore and
        median_km likewise (a median difference needs both medians); wins, losses and ties at 25 km; verdict: "b is better",
        "a is better" or "no difference shown" (the interval of the difference at 25 km contains 0).

    Raises:
        InputError: The ids or the truths of the two sets differ; names the first that does.
    """
    by_id = {r["id"]: r for r in records_b}
    if len(by_id) != len(records_b):
        raise InputError("B: an id is given twice")
    ids_a = {r["id"] for r in records_a}
    for here, there, ids in (("A", "B", ids_a - by_id.keys()), ("B", "A", by_id.keys() - ids_a)):
        if ids:
            raise InputError(
                f"{len(ids)} predictions of {here} are not in {there}, such as {min(ids, key=str)!r}; "
                "both must be of the same dataset"
            )
    paired = [by_id[r["id"]] for r in records_a]
    for a, b in zip(records_a, paired, strict=True):
        if any(a["truth"].get(k) != b["truth"].get(k) for k in ("lat_deg", "lon_deg")):
            raise InputError(f"prediction {a['id']!r}: A and B disagree about where it was taken")
    table_a, table_b = table_of(records_a), table_of(paired)
    columns_a, columns_b = _columns(table_a), _columns(table_b)
    n = len(records_a)
    rng = np.random.default_rng(seed)
    difference = columns_b - columns_a
    drawn = []
    for start in range(0, rounds, ROUNDS_AT_ONCE):
        draws = rng.integers(0, n, size=(min(ROUNDS_AT_ONCE, rounds - start), n), dtype=np.int32)
        weights = np.stack([np.bincount(d, minlength=n) for d in draws]).astype(np.float64)
        drawn.append(weights @ difference / n)
    sampled = np.concatenate(drawn) if drawn else np.zeros((0, difference.shape[1]))
    entries = []
    for i in range(difference.shape[1]):
        mean_a, mean_b = float(columns_a[:, i].mean()), float(columns_b[:, i].mean())
        ci95 = interval(sampled[:, i]) if len(sampled) else None
        entries.append({"a": round(mean_a, 4), "b": round(mean_b, 4), "difference": round(mean_b - mean_a, 4), "ci95": ci95})
    t = len(THRESHOLDS_KM)
    accuracy = {str(threshold): entries[i] for i, threshold in enumerate(THRESHOLDS_KM)}
    near = columns_a[:, THRESHOLDS_KM.index(VERDICT_KM)], columns_b[:, THRESHOLDS_KM.index(VERDICT_KM)]
    return {
        "n": n,
        "accuracy": accuracy,
        **{name: entries[t + i] for i, name in enumerate(NAME_KEYS)},
        "geoscore": entries[-1],
        "median_km": _medians(table_a.km, table_b.km),
        "wins": int((near[1] > near[0]).sum()),
        "losses": int((near[1] < near[0]).sum()),
        "ties": int((near[1] == near[0]).sum()),
        "verdict": _verdict(accuracy[str(VERDICT_KM)]["ci95"]),
        "rounds": rounds,
        "seed": seed,
    }


def _columns(table: Table) -> np.ndarray:
    """Per prediction: 100 or 0 within each threshold and for each name match, then its GeoScore."""
    return np.concatenate(
        [100.0 * (table.counted_km[:, None] <= np.array(THRESHOLDS_KM)), 100.0 * table.names, geoscore(table.km)[:, None]], axis=1
    )


def _medians(km_a: np.ndarray, km_b: np.ndarray) -> dict[str, float | None]:
    a, b = float(np.median(km_a)), float(np.median(km_b))
    known = bool(np.isfinite(a) and np.isfinite(b))
    return {
        "a": round(a, 3) if np.isfinite(a) else None,
        "b": round(b, 3) if np.isfinite(b) else None,
        "difference": round(b - a, 3) if known else None,
    }


def _verdict(ci95: Any) -> str:
    if not ci95 or ci95[0] is None or ci95[1] is None:
        return "no difference shown"
    if ci95[0] > 0:
        return "b is better"
    return "a is better" if ci95[1] < 0 else "no difference shown"
