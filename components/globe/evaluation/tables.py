"""Read the tables given to ``globe score``; errors name file, row and reason.

Truth: id, lat, lon [, country, city]. Predictions: id and any of answer | country, city | lat, lon; CSV or TSV, or JSON lines
with the same names. An evaluation's predictions.jsonl also has a status, which says more than the text alone. Columns may have
any of the names in `globe.data.tables.COLUMNS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from globe.answer.locate import locate, locate_names
from globe.data.tables import find_columns, table_rows
from globe.errors import InputError
from globe.evaluation.metrics import NO_PREDICTION
from globe.geo.countries import find_country
from globe.geo.distance import distance_km, valid_position
from globe.geo.nearest import nearest_city
from globe.geo.places import find_place

_FIELDS = ("id", "lat", "lon", "country", "city", "region", "answer", "status")
_FAR_KM = 1000.0
_NEAR_KM = 100.0
_MIRRORED_KM = 25.0


def read_scored(truth_path: Path, predictions_path: Path) -> list[dict[str, Any]]:
    """Records for :func:`globe.evaluation.metrics.summarize`, one for every row of the truth.

    A truth without a prediction is "no_answer": it stays in the denominator.

    Raises:
        InputError: A file is missing or unreadable, columns are wrong, ids are duplicate or missing from the truth, or
            positions are out of range, not numbers, or swapped.
    """
    truth = read_truth(truth_path)
    found: dict[str, dict[str, Any]] = {}
    for where, row in _rows(predictions_path, "predictions", ("answer", "country", "city", "lat", "lon")):
        identity = _identity(where, row)
        if identity in found:
            raise InputError(f"{where}: id {identity!r} appears twice; keep one")
        if identity not in truth:
            raise InputError(f"{where}: id {identity!r} is not in {truth_path}; both files must be of the same dataset")
        found[identity] = predict(where, row)
    if not found:
        raise InputError(f"{predictions_path}: holds no predictions")
    absent = {"status": "no_answer", "country": None, "city": None, "lat_deg": None, "lon_deg": None}
    records = [{"id": i, **found.get(i, absent), "truth": place} for i, place in truth.items()]
    _check_mirrored(predictions_path, truth_path, records)
    return records


def read_truth(path: Path) -> dict[str, dict[str, Any]]:
    """Truth by id: country, city ("" if not given), lat_deg, lon_deg."""
    truth: dict[str, dict[str, Any]] = {}
    for where, row in _rows(path, "truth", ()):
        identity = _identity(where, row)
        if identity in truth:
            raise InputError(f"{where}: id {identity!r} appears twice; keep one")
        position = _position(where, row)
        if position is None:
            raise InputError(f"{where}: lat and lon are empty; a truth needs its position")
        country, city = row.get("country", ""), row.get("city", "")
        _check_swapped(where, *position, country, city)
        truth[identity] = {"country": country, "city": city, "lat_deg": position[0], "lon_deg": position[1]}
    if not truth:
        raise InputError(f"{path}: holds no rows")
    return truth


def predict(where: str, row: dict[str, str]) -> dict[str, Any]:
    """A prediction row as status, names and position. Coordinates take precedence over names, and names over the answer's text.

    A row that its evaluation did not count as a prediction is not one here either, whatever could be read from its text.
    """
    position = _position(where, row)
    if position is None and row.get("status") in NO_PREDICTION:
        return {"status": row["status"], "country": None, "city": None, "lat_deg": None, "lon_deg": None}
    country, city = row.get("country", ""), row.get("city", "")
    found = locate_names(country, city, row.get("region", "")) if country or city else locate(row.get("answer", ""))
    lat, lon = position or (found.place.lat_deg, found.place.lon_deg)
    if position and (country or city):  # the position is the answer, so names that would be none are kept as they are written
        found = found._replace(country=country, city=city)
    status = "ok" if position else found.status
    return {"status": status, "country": found.country or None, "city": found.city or None, "lat_deg": lat, "lon_deg": lon}


def _identity(where: str, row: dict[str, str]) -> str:
    identity = row.get("id", "")
    if not identity:
        raise InputError(f"{where}: id is empty")
    return identity


def _position(where: str, row: dict[str, str]) -> tuple[float, float] | None:
    texts = row.get("lat", ""), row.get("lon", "")
    if not any(texts):
        return None
    values = []
    for name, text in zip(("lat", "lon"), texts, strict=True):
        try:
            value = float(text) if "_" not in text else math.nan  # Python reads "4_8" as 48
        except ValueError:
            raise InputError(f"{where}: {name} {_short(text)} is not a number of degrees") from None
        if not math.isfinite(value):
            raise InputError(f"{where}: {name} is {_short(text)}, not a number of degrees")
        values.append(value)
    lat, lon = values
    if not valid_position(lat, lon):
        swapped = " (are lat and lon swapped?)" if valid_position(lon, lat) else ""
        raise InputError(f"{where}: lat {lat:g}, lon {lon:g} is out of range, +-90 and +-180{swapped}")
    return lat, lon


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}..."


def _check_mirrored(path: Path, truth_path: Path, records: list[dict[str, Any]]) -> None:
    """Refuse predictions whose lat and lon are swapped: near the truth only if swapped, and otherwise far from it.

    One prediction may be like that by chance, but not a fifth of them.
    """
    from globe.geo.distance import distances_km  # late: it needs numpy

    placed = [r for r in records if r["lat_deg"] is not None and valid_position(r["lon_deg"], r["lat_deg"])]
    if not placed:
        return
    lat, lon, true_lat, true_lon = zip(
        *((r["lat_deg"], r["lon_deg"], r["truth"]["lat_deg"], r["truth"]["lon_deg"]) for r in placed), strict=True
    )
    mirrored = (distances_km(lon, lat, true_lat, true_lon) <= _MIRRORED_KM) & (
        distances_km(lat, lon, true_lat, true_lon) > _FAR_KM
    )
    if mirrored.sum() * 5 >= len(placed):
        first = placed[int(mirrored.argmax())]["id"]
        raise InputError(
            f"{path}: {mirrored.sum()} of {len(placed)} positions (first: id {first!r}) are where {truth_path} has them only "
            "with lat and lon swapped; swap them in one of the files"
        )


def _check_swapped(where: str, lat: float, lon: float, country: str, city: str) -> None:
    """Refuse a truth whose lat and lon are swapped: far from the city or country it names, and in it if swapped."""
    if not country or not valid_position(lon, lat):
        return
    found = find_place(city, country)
    if found.lat_deg is None or found.lon_deg is None:
        return
    if abs(lat - found.lat_deg) < 4.0 and abs(lon - found.lon_deg) < 4.0:
        return  # clearly near: spares most rows the distance
    if distance_km(lat, lon, found.lat_deg, found.lon_deg) <= _FAR_KM:
        return
    if found.match == "country":
        land = find_country(country)
        code = land.code if land else None
        wrong = nearest_city(lat, lon).country_code != code and nearest_city(lon, lat).country_code == code
    else:
        wrong = distance_km(lon, lat, found.lat_deg, found.lon_deg) <= _NEAR_KM
    if wrong:
        raise InputError(
            f"{where}: lat {lat:g}, lon {lon:g} is not in {city or country}, but is with lat and lon swapped; swap them"
        )


def _rows(path: Path, what: str, any_of: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a table as (file and row, {field: text}); the header is checked first."""
    source = table_rows(path)
    columns = next(source)[1]
    names = find_columns(columns, _FIELDS)
    needed = ["id"] if any_of else ["id", "lat", "lon"]
    missing = [n for n in needed if n not in names]
    if missing or (any_of and not any(n in names for n in any_of)):
        wants = "id and any of answer | country, city | lat, lon" if any_of else "id, lat, lon [, country, city]"
        found = ", ".join(map(str, columns))[:200] or "none"
        raise InputError(f"{path}: row 1: the table of the {what} needs the columns {wants}; found {found}")
    if any_of and ("lat" in names) != ("lon" in names):
        raise InputError(f"{path}: row 1: lat and lon go together; found only one of them")
    for where, row in source:
        yield where, {wanted: _text(where, original, row.get(original, "")) for wanted, original in names.items()}


def _text(where: str, column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: {column} is {'a list' if isinstance(value, list) else 'an object'}, not text or a number")
    return value.strip()
