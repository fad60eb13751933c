"""Compare two models on the same pictures: paired differences with intervals, and a verdict.

Pictures that are easy or hard for both cancel out, so the interval of a difference is much narrower than the two models' own
intervals suggest. How intervals are made says `globe.figures.paired`; how the verdict is, `globe.evaluation.verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from globe.errors import InputError
from globe.evaluation.recipe import GateRecipe
from globe.evaluation.verdict import judge_difference
from globe.figures.metrics import NAME_KEYS, Table, table_of
from globe.figures.paired import bootstrap_interval, design_effect, photographers, score_interval
from globe.geo.distance import THRESHOLDS_KM, geoscore

Records = Sequence[Mapping[str, Any]]
_WHERE = ("lat_deg", "lon_deg", "country", "city")


def compare(
    records_a: Records, records_b: Records, rounds: int = 1000, seed: int = 0, rule: GateRecipe = GateRecipe(), name: str = "A"
) -> dict[str, Any]:
    """Differences B minus A over the same ids.

    Args:
        records_a: Predictions of A.
        records_b: Predictions of B, in any order.
        rounds: Bootstrap rounds for the interval of the GeoScore.
        seed: Of the bootstrap.
        rule: What the verdict asks for.
        name: What its reasons call A.

    Returns:
        n; accuracy {threshold: {a, b, difference, ci95, wins, losses, design_effect}} and country_match, city_match likewise
        (percent points; won and lost pictures); geoscore and median_km {a, b, difference} (a median difference needs both
        medians); wins, losses and ties at the rule's threshold, and discordant_percent, the share that only one gets right;
        verdict, reasons and needed_pictures; rule; intervals: how they were made.

    Raises:
        InputError: The ids or the truths of the two sets differ; names the first that does.
    """
    paired = _paired(records_a, records_b)
    table_a, table_b = table_of(records_a), table_of(paired)
    groups = photographers([_photographer(a) or _photographer(b) for a, b in zip(records_a, paired, strict=True)])
    right_a, right_b = _right(table_a), _right(table_b)
    entries = [_yes_or_no(a, b, groups) for a, b in zip(right_a.T, right_b.T, strict=True)]
    accuracy = {str(km): entry for km, entry in zip(THRESHOLDS_KM, entries, strict=False)}
    names = dict(zip(NAME_KEYS, entries[len(THRESHOLDS_KM) :], strict=True))
    decisive, n = accuracy[rule.threshold_km], len(records_a)
    found = {
        "n": n,
        "accuracy": {km: _rounded(entry) for km, entry in accuracy.items()},
        **{key: _rounded(entry) for key, entry in names.items()},
        "geoscore": _amount(geoscore(table_a.km), geoscore(table_b.km), groups, rounds, seed),
        "median_km": _medians(table_a.km, table_b.km),
        "wins": decisive["wins"],
        "losses": decisive["losses"],
        "ties": n - decisive["wins"] - decisive["losses"],
        "discordant_percent": round(100 * (decisive["wins"] + decisive["losses"]) / n, 4),
        **judge_difference(decisive, n, rule, name),
        "rule": rule.model_dump(include={"threshold_km", "margin_percent", "min_pictures"}),
        "intervals": f"95%. Shares: Tango's score interval for paired differences. GeoScore: paired bootstrap ({rounds} rounds).",
        "rounds": rounds,
        "seed": seed,
    }
    people = int(groups.max()) + 1
    if people < n:
        found["intervals"] += f" Clustered by photographer ({people}): effective numbers of pictures, whole photographers drawn."
    return found


def _paired(records_a: Records, records_b: Records) -> list[Mapping[str, Any]]:
    """B's records in A's order, of the same pictures with the same truth."""
    by_id = {record["id"]: record for record in records_b}
    if len(by_id) != len(records_b):
        raise InputError("B: an id is given twice")
    ids_a = {record["id"] for record in records_a}
    for here, there, ids, n in (("A", "B", ids_a - by_id.keys(), len(ids_a)), ("B", "A", by_id.keys() - ids_a, len(by_id))):
        if ids:
            raise InputError(
                f"{len(ids)} of {n} predictions of {here} are not in {there}, such as {min(ids, key=str)!r}; "
                "both must be of the same dataset, with all its pictures"
            )
    paired = [by_id[record["id"]] for record in records_a]
    for a, b in zip(records_a, paired, strict=True):
        if any((a["truth"].get(key) or 0) != (b["truth"].get(key) or 0) for key in _WHERE):
            raise InputError(f"prediction {a['id']!r}: A and B disagree about where it was taken; use one dataset for both")
    return paired


def _photographer(record: Mapping[str, Any]) -> Any:
    """Who took a picture, if this set of predictions says: an older one may not."""
    return record["truth"].get("photographer")


def _right(table: Table) -> np.ndarray:
    """Whether each prediction is right within each threshold, and by each name match."""
    return np.concatenate([table.counted_km[:, None] <= np.array(THRESHOLDS_KM), table.names], axis=1)


def _yes_or_no(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """The paired difference of two shares, in percent."""
    wins, losses, n = int((b & ~a).sum()), int((a & ~b).sum()), len(a)
    effect = design_effect(b.astype(np.float64) - a, groups)
    low, high = score_interval(wins / effect, losses / effect, n / effect)
    return {
        "a": 100 * float(a.mean()),
        "b": 100 * float(b.mean()),
        "difference": 100 * (wins - losses) / n,
        "ci95": [100 * float(low), 100 * float(high)],
        "wins": wins,
        "losses": losses,
        "design_effect": effect,
    }


def _amount(a: np.ndarray, b: np.ndarray, groups: np.ndarray, rounds: int, seed: int) -> dict[str, Any]:
    """The paired difference of two means."""
    ends = bootstrap_interval(b - a, groups, rounds, seed)
    return _rounded({"a": float(a.mean()), "b": float(b.mean()), "difference": float((b - a).mean()), "ci95": ends})


def _rounded(entry: Mapping[str, Any]) -> dict[str, Any]:
    def short(value: Any) -> Any:
        return [round(end, 4) for end in value] if isinstance(value, list) else round(value, 4) if value is not None else None

    return {key: short(value) for key, value in entry.items()}


def _medians(km_a: np.ndarray, km_b: np.ndarray) -> dict[str, float | None]:
    a, b = float(np.median(km_a)), float(np.median(km_b))
    known = bool(np.isfinite(a) and np.isfinite(b))
    return {
        "a": round(a, 3) if np.isfinite(a) else None,
        "b": round(b, 3) if np.isfinite(b) else None,
        "difference": round(b - a, 3) if known else None,
    }
