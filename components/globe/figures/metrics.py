"""How good a set of predictions is: accuracy by distance, distances, GeoScore and names, each with its interval.

A record (a mapping): ``{id, status, country, city, level, lat_deg, lon_deg, truth: {country, city, lat_deg, lon_deg}}``, and more
where it is known (:mod:`globe.figures.predictions`). Statuses: "ok", "no_answer", "not_parsed", "not_geocoded", "cut_off",
"call_failed". Every picture stays in the denominator: a prediction without a position is wrong at every threshold, infinitely
far for the median, and earns no GeoScore. Only the mean, which an infinite distance would make meaningless, covers just the
predictions that have a position (``mean_of`` says how many).

An answer that names only a country, or a city that is not known, is placed at the country's point. It counts within 750 and
2500 km, never within 1, 25 or 200 (:func:`globe.geo.distance.counted_km`). Median, mean and GeoScore take its distance as it is,
to that point; ``country_level`` says how many answers are like that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from globe.console import one_line
from globe.errors import InputError
from globe.figures.further import further_figures
from globe.figures.intervals import bootstrap, clusters_of, effective_n, methods, percent, wilson
from globe.figures.predictions import Status, level_of
from globe.figures.slices import slices
from globe.geo.countries import NOT_A_NAME
from globe.geo.distance import THRESHOLDS_KM, counted_km, distances_km, geoscore
from globe.geo.verdict import Truth, judge
from globe.rewards.accuracy_original import match_original

if TYPE_CHECKING:
    import pandas as pd

NO_PREDICTION = ("no_answer", "not_parsed", "cut_off", "call_failed")
STATUSES = get_args(Status)
NAME_KEYS = ("country_match", "city_match", "country_match_original", "city_match_original")
THRESHOLD_KEYS = tuple(map(str, THRESHOLDS_KM))
MAX_FAILED_SHARE = 0.2
"""More failed calls than this is an outage, not a result."""
MOST_ERRORS = 10
"""The most frequent reasons why calls failed; the rest are counted together."""
MAX_ERROR_CHARS = 200


def summarize(records: Sequence[Mapping[str, Any]], rounds: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Summary of predictions, the JSON of ``globe score``.

    Args:
        records: Predictions; the module's docstring lists their fields.
        rounds: Bootstrap rounds for the 95% intervals of means and medians.
        seed: Of the bootstrap; equal seeds give equal intervals.

    Returns:
        n; accuracy and country_match, city_match (percent); ci95 (low and high for each figure) and intervals (how they were
        made); median_km (None when half or more have no position), mean_km, mean_of, geoscore; parsed, geocoded, failed (counts,
        and the same with _percent), failures by status and errors (why calls failed, the most frequent first);
        country_match_original and city_match_original (by the original's rule); country_level (count, percent, and
        city_not_found: how many of these named a city); slices by what is known of the pictures, with the intervals of their
        shares.

    Raises:
        InputError: No records, a duplicate id, an unknown status, or a truth without position.
    """
    import pandas as pd  # imported late, so that `globe --help` stays fast

    table = table_of(records)
    clusters = clusters_of([record["truth"].get("photographer") for record in records])
    frame = _frame(table)
    (summary,) = _figures(frame, pd.Series(["all"] * len(frame)), clusters).values()
    summary["ci95"] |= bootstrap(table.km, clusters, rounds, np.random.default_rng(seed))
    summary |= {"intervals": methods(rounds, clusters), "rounds": rounds, "seed": seed}
    counts, ci95 = _counts(table, clusters)
    summary["ci95"] |= ci95
    summary |= counts | {"errors": _errors(records)}
    summary["country_level"] = _country_level(records, table.country_level)
    known = [record["truth"] for record in records]
    summary["slices"] = {title: _figures(frame, names, clusters) for title, names in slices(table.truths, known)}
    return summary | further_figures(records, seed)


def check_answered(records: Sequence[Mapping[str, Any]], what: str, most_failed: float = 1.0) -> None:
    """Refuse predictions that say something about an outage, and nothing about a model.

    Args:
        records: Predictions.
        what: What the message calls them.
        most_failed: Share of the calls that may have failed. Models are compared only where few have: pictures that neither was
            asked about count as ties, and would make the two alike.

    Raises:
        InputError: Every call failed, or more than that share.
    """
    failed = [record.get("error") or "no reason recorded" for record in records if record.get("status") == "call_failed"]
    if failed and len(failed) == len(records):
        first = one_line(str(failed[0]))[:MAX_ERROR_CHARS]
        raise InputError(f"{what}: all {len(failed)} calls failed, so there is nothing to score; the first: {first}")
    if len(failed) > most_failed * len(records):
        first = one_line(str(failed[0]))[:MAX_ERROR_CHARS]
        share = f"{len(failed)} of {len(records)} calls failed"
        raise InputError(f"{what}: {share}, which is an outage and not a result; evaluate again; the first: {first}")


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
    counted_km: np.ndarray
    """Distances at which the answers count, to compare with thresholds."""
    names: np.ndarray
    """One row a record: a boolean for each of `NAME_KEYS`."""
    statuses: list[str]
    truths: list[Truth]
    country_level: np.ndarray
    """Whether each is placed only by its country."""


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
    levels = [level_of(record) if status == "ok" else "" for record, status in zip(records, statuses, strict=True)]
    counted = np.array([counted_km(distance, level) for distance, level in zip(km.tolist(), levels, strict=True)])
    truths = [_truth(record) for record in records]
    return Table(km, counted, names, statuses, truths, np.array([level == "country" for level in levels]))


def _frame(table: Table) -> pd.DataFrame:
    """One row a prediction: whether it counts at each threshold, whether each name is right, its distance and GeoScore."""
    import pandas as pd

    within = table.counted_km[:, None] <= np.array(THRESHOLDS_KM)
    frame = pd.DataFrame(np.hstack([within, table.names]).astype(np.float64), columns=[*THRESHOLD_KEYS, *NAME_KEYS])
    return frame.assign(km=table.km, placed_km=np.where(np.isfinite(table.km), table.km, np.nan), geoscore=geoscore(table.km))


def _figures(frame: pd.DataFrame, groups: pd.Series, clusters: np.ndarray | None) -> dict[str, dict[str, Any]]:
    """The figures of each group of predictions, with the intervals of their shares."""
    keys = [*THRESHOLD_KEYS, *NAME_KEYS]
    grouped = frame.groupby(groups, observed=True)
    means = grouped[[*keys, "placed_km", "geoscore"]].mean()
    medians, n, placed = grouped["km"].median(), grouped.size(), grouped["placed_km"].count()
    low, high = wilson(means[keys], effective_n(frame[keys].to_numpy(), grouped.ngroup().to_numpy(), clusters))
    found = {}
    for row, name in enumerate(means.index):
        mean, median = means.loc[name], float(medians[name])
        found[str(name)] = {
            "n": int(n[name]),
            "accuracy": {key: percent(mean[key]) for key in THRESHOLD_KEYS},
            "median_km": round(median, 3) if np.isfinite(median) else None,
            "mean_km": round(float(mean["placed_km"]), 3) if placed[name] else None,
            "mean_of": int(placed[name]),
            "geoscore": round(float(mean["geoscore"]), 2),
            **{key: percent(mean[key]) for key in NAME_KEYS},
            "ci95": {key: [percent(low[row, i]), percent(high[row, i])] for i, key in enumerate(keys)},
        }
    return found


def _counts(table: Table, clusters: np.ndarray | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What became of the predictions, as counts and percentages; and the intervals of their shares and of `country_level`'s."""
    statuses, placed = np.array(table.statuses), np.isfinite(table.km)
    totals = {"parsed": np.isin(statuses, ("ok", "not_geocoded")), "geocoded": placed, "failed": ~placed}
    failures = {status: statuses == status for status in STATUSES[1:]}
    named = {f"{name}_percent": rows for name, rows in totals.items()} | failures | {"country_level": table.country_level}
    shares = np.column_stack(list(named.values())).astype(np.float64)
    ends = np.stack(wilson(shares.mean(axis=0), effective_n(shares, np.zeros(len(shares), dtype=np.int64), clusters)[0]), axis=1)
    counts: dict[str, Any] = {name: int(rows.sum()) for name, rows in totals.items()}
    counts |= {"failures": {status: int(rows.sum()) for status, rows in failures.items()}}
    counts |= {f"{name}_percent": percent(rows.mean()) for name, rows in totals.items()}
    return counts, {name: [percent(low), percent(high)] for name, (low, high) in zip(named, ends, strict=True)}


def _errors(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Why calls failed, and how often each."""
    failed = Counter(
        one_line(str(r.get("error") or "no reason recorded"))[:MAX_ERROR_CHARS]
        for r in records
        if r.get("status") == "call_failed"
    )
    found = dict(failed.most_common(MOST_ERRORS))
    others = failed.total() - sum(found.values())
    return found | ({"other reasons": others} if others else {})


def _country_level(records: Sequence[Mapping[str, Any]], country_level: np.ndarray) -> dict[str, Any]:
    """How many answers are placed only by their country, and how many of them named a city that was not found there."""
    cities = sum(_names_city(record.get("city")) for record, alone in zip(records, country_level, strict=True) if alone)
    count = int(country_level.sum())
    return {"count": count, "percent": percent(count / len(records)), "city_not_found": cities}


def _names_city(city: str | None) -> bool:
    return (city or "").strip().lower() not in ("", *NOT_A_NAME)
