"""What a set of predictions is worth: accuracy within kilometres, distances, GeoScore, names, each with its interval.

A record (a mapping): ``{id, status, country, city, lat_deg, lon_deg, truth: {country, city, lat_deg, lon_deg}}``. Statuses:
"ok", "no_answer", "not_parsed", "not_geocoded", "cut_off", "call_failed". Nothing ever leaves the denominator: what has no
position is wrong at every threshold, infinitely far for the median, and earns no GeoScore. Only the mean, which an infinite
distance would make meaningless, is taken over the predictions that have a position (``mean_of`` says how many).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from globe.errors import InputError
from globe.evaluation.slices import slices
from globe.geo.distance import GEOSCORE_MAX, GEOSCORE_SCALE_KM, THRESHOLDS_KM, distances_km
from globe.geo.places import find_country, find_place, same_city, same_country
from globe.rewards.accuracy import true_place
from globe.rewards.accuracy_original import match_original
from globe.rewards.score import Truth

if TYPE_CHECKING:
    import numpy as np

NO_PREDICTION = ("no_answer", "not_parsed", "cut_off", "call_failed")
STATUSES = ("ok", *NO_PREDICTION, "not_geocoded")
_ROUNDS_AT_ONCE = 50


def summarize(records: Sequence[Mapping[str, Any]], rounds: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Summary of predictions, the JSON of ``globe score``.

    Args:
        records: Predictions; see the module's text for their fields.
        rounds: Bootstrap rounds for the 95% percentile intervals.
        seed: Of the bootstrap; equal seeds give equal intervals.

    Returns:
        n; accuracy and country_match, city_match (percent); ci95 (low and high for each figure); median_km (None when half
        or more have no position), mean_km, mean_of, geoscore; parsed, geocoded, failed (counts, and the same
        with _percent) and failures by status;
        the original's rule as country_match_original and city_match_original; slices by continent and city size.

    Raises:
        InputError: no records, a duplicate id, an unknown status, or a truth without position.
    """
    import numpy as np  # late: the CLI's --help must not cost its import

    table = _table(records)
    km, names = table["km"], table["names"]
    rng = np.random.default_rng(seed)
    summary = _figures(km, names)
    summary["ci95"] = _intervals(km, names, rounds, rng)
    statuses = table["statuses"]
    failures = Counter(s for s in statuses if s != "ok")
    summary["parsed"] = sum(s in ("ok", "not_geocoded") for s in statuses)
    summary["geocoded"] = int(np.isfinite(km).sum())
    summary["failed"] = len(statuses) - summary["geocoded"]
    summary["failures"] = {status: failures[status] for status in STATUSES[1:]}
    for name in ("parsed", "geocoded", "failed"):
        summary[f"{name}_percent"] = _percent(summary[name] / len(statuses))
    summary["rounds"], summary["seed"] = rounds, seed
    summary["slices"] = slices(table["truths"], lambda rows: _figures(km[rows], names[rows]))
    return summary


def name_matches(record: Mapping[str, Any]) -> tuple[bool, bool, bool, bool]:
    """Country and city right by our rule, then by the original's (its city rule also asks for the country)."""
    truth = record["truth"]
    country, city = record.get("country") or "", record.get("city") or ""
    true_country, true_city = truth.get("country") or "", truth.get("city") or ""
    ours = same_country(country, true_country)
    place = find_place(city, country) if city and country else None
    if not ours and place is not None and place.match in ("exact", "alias") and true_country:
        there = find_place(true_city, true_country)
        known = find_country(true_country)
        ours = place.country_code == (there.country_code or (known.code if known else None))
    city_right = (
        ours
        and bool(city and true_city)
        and (
            same_city(city, true_city, true_country)
            or (place is not None and place.geonames_id is not None and place.geonames_id == _true_id(truth))
        )
    )
    original_country = match_original(country.strip(), true_country.strip())
    return ours, city_right, original_country, match_original(city.strip(), true_city.strip())


def _true_id(truth: Mapping[str, Any]) -> int | None:
    return true_place(Truth(truth["country"], truth.get("city") or "", truth["lat_deg"], truth["lon_deg"])).geonames_id


def _table(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Records as arrays: distances in km (infinite without a position), name matches (n x 4), statuses, truths."""
    import numpy as np

    if not records:
        raise InputError("there are no predictions to score")
    seen: set[Any] = set()
    positions = np.full((len(records), 4), np.nan)
    names = np.zeros((len(records), 4), dtype=bool)
    statuses = []
    for i, record in enumerate(records):
        if record["id"] in seen:
            raise InputError(f"prediction {record['id']!r} stands there twice; keep one")
        seen.add(record["id"])
        status = record.get("status") or "ok"
        if status not in STATUSES:
            raise InputError(f"prediction {record['id']!r}: status {status!r} is none of {', '.join(STATUSES)}")
        truth = record["truth"]
        if truth.get("lat_deg") is None or truth.get("lon_deg") is None:
            raise InputError(f"prediction {record['id']!r}: its truth has no position")
        lat, lon = record.get("lat_deg"), record.get("lon_deg")
        if status == "ok" and (lat is None or lon is None):
            status = "not_geocoded"
        statuses.append(status)
        positions[i, 2:] = truth["lat_deg"], truth["lon_deg"]
        if status == "ok":
            positions[i, :2] = lat, lon
        if status in ("ok", "not_geocoded"):
            names[i] = name_matches(record)
    try:
        km = distances_km(*positions.T)
    except ValueError as error:
        raise InputError(str(error)) from error
    km = np.where(np.isnan(km), np.inf, km)
    return {"km": km, "names": names, "statuses": statuses, "truths": [r["truth"] for r in records]}


_NAME_KEYS = ("country_match", "city_match", "country_match_original", "city_match_original")


def _figures(km: np.ndarray, names: np.ndarray) -> dict[str, Any]:
    import numpy as np

    finite = km[np.isfinite(km)]
    median = float(np.median(km))
    return {
        "n": len(km),
        "accuracy": {str(t): _percent((km <= t).mean()) for t in THRESHOLDS_KM},
        "median_km": round(median, 3) if np.isfinite(median) else None,
        "mean_km": round(float(finite.mean()), 3) if len(finite) else None,
        "mean_of": len(finite),
        "geoscore": round(float(_geoscores(km).mean()), 2),
        **{name: _percent(names[:, i].mean()) for i, name in enumerate(_NAME_KEYS)},
    }


def _geoscores(km: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray(GEOSCORE_MAX * np.exp(-km / GEOSCORE_SCALE_KM))  # exp(-inf) is 0: no place, no points


def _percent(share: Any) -> float:
    return round(100.0 * float(share), 4)


def _intervals(km: np.ndarray, names: np.ndarray, rounds: int, rng: np.random.Generator) -> dict[str, list[float | None]]:
    """Percentile bootstrap over predictions, all figures from the same draws."""
    import numpy as np

    n = len(km)
    within = km[:, None] <= np.array(THRESHOLDS_KM)
    finite = np.isfinite(km)
    columns = np.concatenate(
        [within, names, _geoscores(km)[:, None], np.where(finite, km, 0.0)[:, None], finite[:, None]], axis=1
    ).astype(np.float64)
    order = np.argsort(km, kind="stable")
    columns, ordered = columns[order], km[order]
    means, medians = [], []
    for start in range(0, rounds, _ROUNDS_AT_ONCE):
        count = min(_ROUNDS_AT_ONCE, rounds - start)
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
        intervals[str(threshold)] = _interval(100 * total[:, i] / n)
    for i, name in enumerate(_NAME_KEYS):
        intervals[name] = _interval(100 * total[:, t + i] / n)
    intervals["geoscore"] = _interval(total[:, -3] / n)
    with np.errstate(invalid="ignore", divide="ignore"):
        intervals["mean_km"] = _interval(total[:, -2] / total[:, -1])
    intervals["median_km"] = _interval(median)
    return intervals


def _interval(values: np.ndarray) -> list[float | None]:
    import numpy as np

    low, high = np.percentile(values, [2.5, 97.5], method="nearest")
    return [round(float(v), 4) if np.isfinite(v) else None for v in (low, high)]
