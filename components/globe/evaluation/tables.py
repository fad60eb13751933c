"""Read the tables given to ``globe score``; errors name file, row and reason.

Truth: id, lat, lon [, country, city, localizable, scene, photographer]. Predictions: id and any of answer | country, city |
lat, lon; CSV or TSV, or JSON lines with the same names. Columns may have any of the names in `globe.data.tables.COLUMNS`, those
of predictions also with "pred" before or after. An evaluation's predictions.jsonl is taken as its evaluation took it: the same
records give the same figures. So is the samples file of lmms-eval (:mod:`globe.evaluation.lmms_samples`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from globe.answer.locate import locate, locate_names
from globe.data.tables import find_columns, read_json_lines, refuse_two_positions, table_rows, unblanked
from globe.errors import InputError
from globe.evaluation.copied import check_not_copied, check_other_file, prediction_columns
from globe.evaluation.lmms_samples import is_samples, read_samples
from globe.figures.metrics import NO_PREDICTION, check_answered
from globe.figures.predictions import read_prediction_file
from globe.geo.borders import Placed, check_positions, is_outside
from globe.geo.distance import distance_km, valid_position
from globe.geo.places import find_place

_TRUTH = ("id", "lat", "lon", "country", "city", "localizable", "scene", "photographer")
_KNOWN = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": None}
"""How a table says whether a picture is localizable."""
_NOWHERE = {"country": None, "city": None, "lat_deg": None, "lon_deg": None}
_FAR_KM = 1000.0
_NEAR_KM = 100.0
_MIRRORED_KM = 25.0


def read_scored(truth_path: Path, predictions_path: Path) -> list[dict[str, Any]]:
    """Records for :func:`globe.figures.metrics.summarize`, one for every row of the truth.

    A truth without a prediction is "no_answer": it stays in the denominator.

    Raises:
        InputError: A file is missing or unreadable, columns are wrong, ids are duplicate or missing from the truth, positions are
            out of range, not numbers, or swapped, or the predictions are the truth.
    """
    check_other_file(predictions_path, truth_path)
    truth = read_truth(truth_path)
    found: dict[str, dict[str, Any]] = {}
    for where, record in _predictions(predictions_path):
        identity = record["id"]
        if identity in found:
            raise InputError(f"{where}: id {identity!r} appears twice; keep one")
        if identity not in truth:
            raise InputError(f"{where}: id {identity!r} is not in {truth_path}; both files must be of the same dataset")
        found[identity] = record
    if not found:
        raise InputError(f"{predictions_path}: holds no predictions")
    records = [
        _judged_by(place, found.get(identity, {"id": identity, "status": "no_answer"})) for identity, place in truth.items()
    ]
    check_answered(records, str(predictions_path))
    check_not_copied(predictions_path, truth_path, [record for record in records if record["id"] in found])
    _check_mirrored(predictions_path, truth_path, records)
    return records


def _predictions(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each prediction, with its file and row; an evaluation's own are records already."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        first = next((record for _, record in read_json_lines(path)), {})
        if first.keys() >= {"id", "status", "lat_deg", "lon_deg", "truth"}:
            yield from ((str(path), record) for record in read_prediction_file(path))
            return
        if is_samples(first):
            yield from read_samples(path)
            return
    for where, row in _rows(path, "predictions"):
        yield where, {"id": _identity(where, row), "answer": row.get("answer"), **predict(where, row)}


def _judged_by(place: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """A prediction with this truth; an evaluation's own record keeps what tables do not tell of a picture, as its entities."""
    record = {**_NOWHERE, **record, "truth": record.get("truth", {}) | place}
    if record["lat_deg"] is None:
        record |= {"distance_km": None} if "distance_km" in record else {}
    elif record.get("distance_km") is not None:  # to where its evaluation thought that the picture was taken
        record["distance_km"] = distance_km(record["lat_deg"], record["lon_deg"], place["lat_deg"], place["lon_deg"])
    return record


def read_truth(path: Path) -> dict[str, dict[str, Any]]:
    """Truth by id: country, city ("" if not given), lat_deg, lon_deg; localizable, scene and photographer where given."""
    truth: dict[str, dict[str, Any]] = {}
    placed = []
    for where, row in _rows(path, "truth"):
        identity = _identity(where, row)
        if identity in truth:
            raise InputError(f"{where}: id {identity!r} appears twice; keep one")
        position = _position(where, row)
        if position is None:
            raise InputError(f"{where}: lat and lon are empty; a truth needs its position")
        country, city = row.get("country", ""), row.get("city", "")
        _check_swapped(where, *position, country, city)
        if country:
            placed.append(Placed(where.removeprefix(f"{path}: "), *position, country))
        truth[identity] = {"country": country, "city": city, "lat_deg": position[0], "lon_deg": position[1]} | _told(where, row)
    if not truth:
        raise InputError(f"{path}: holds no rows")
    check_positions(str(path), placed)
    return truth


def predict(where: str, row: dict[str, str]) -> dict[str, Any]:
    """A prediction row as status, names and position. Coordinates take precedence over names, and names over the answer's text.

    A row that its evaluation did not count as a prediction is not one here either, whatever could be read from its text.
    """
    position = _position(where, row)
    if position is None and row.get("status") in NO_PREDICTION:
        return {"status": row["status"], **_NOWHERE, "level": "", "error": row.get("error", "")}
    country, city = row.get("country", ""), row.get("city", "")
    found = locate_names(country, city, row.get("region", "")) if country or city else locate(row.get("answer", ""))
    lat, lon = position or (found.place.lat_deg, found.place.lon_deg)
    level = row.get("level", "").lower() if position else found.level
    if position and (country or city):  # the position is the answer, so names that would be none are kept as they are written
        found = found._replace(country=country, city=city)
    return {
        "status": "ok" if position else found.status,
        "country": found.country or None,
        "city": found.city or None,
        "level": level if level in ("city", "country") else "",
        "lat_deg": lat,
        "lon_deg": lon,
        "error": "",
    }


def _told(where: str, row: dict[str, str]) -> dict[str, Any]:
    """What else a row of the truth says about its picture."""
    told: dict[str, Any] = {name: row[name] for name in ("scene", "photographer") if row.get(name)}
    text = row.get("localizable", "")
    if text.lower() not in _KNOWN:
        raise InputError(f"{where}: localizable is {_short(text)}; write true or false, or leave it empty")
    known = _KNOWN[text.lower()]
    return told if known is None else told | {"localizable": known}


def _identity(where: str, row: dict[str, str]) -> str:
    """The row's id. It is compared as it is written, so blanks around it, which nobody sees, would make it another one."""
    identity = row.get("id", "")
    if not identity.strip():
        raise InputError(f"{where}: id is empty")
    return unblanked(where, "id", identity)


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
        wrong = is_outside(lat, lon, country) and not is_outside(lon, lat, country)
    else:
        wrong = distance_km(lon, lat, found.lat_deg, found.lon_deg) <= _NEAR_KM
    if wrong:
        raise InputError(
            f"{where}: lat {lat:g}, lon {lon:g} is not in {city or country}, but is with lat and lon swapped; swap them"
        )


def _rows(path: Path, what: Literal["truth", "predictions"]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a table as (file and row, {field: text}); the header is checked first."""
    source = table_rows(path)
    columns = next(source)[1]
    if what == "truth":
        refuse_two_positions(path, columns)
        names, wants = find_columns(columns, _TRUTH), "id, lat, lon [, country, city, localizable, scene, photographer]"
        lacks = not names.keys() >= {"id", "lat", "lon"}
    else:
        names, wants = prediction_columns(path, columns), "id and any of answer | country, city | lat, lon"
        lacks = "id" not in names or names.keys().isdisjoint(("answer", "country", "city", "lat", "lon"))
    if lacks:
        found = ", ".join(map(str, columns))[:200] or "none"
        raise InputError(f"{path}: row 1: the table of the {what} needs the columns {wants}; found {found}")
    if ("lat" in names) != ("lon" in names):
        raise InputError(f"{path}: row 1: lat and lon go together; found only one of them")
    for where, row in source:
        yield where, {field: _text(where, column, row.get(column, ""), field) for field, column in names.items()}


def _text(where: str, column: str, value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: {column} is {'a list' if isinstance(value, list) else 'an object'}, not text or a number")
    return value if field == "id" else value.strip()
