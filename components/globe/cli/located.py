"""Answers of `globe locate` for people, tables and maps. Models wrote their texts, which steer no terminal and no spreadsheet."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from globe.console import one_line
from globe.errors import InputError, cannot_write
from globe.files import json_text, write_atomically

COLUMNS = (
    "photo", "status", "country", "city", "region", "level", "lat_deg", "lon_deg", "confidence", "radius_km",
    "radius_level_percent", "reasoning", "error",
)  # fmt: skip
EXIF_COLUMNS = ("exif_lat_deg", "exif_lon_deg", "exif_distance_km")
NAME_CHARS = 40
FORMULAS = tuple("=+-@＝＋－＠|\t\r")
"""A spreadsheet takes a text that begins so for a formula."""


def row(photo: Path, answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as a table's row: numbers and plain texts of one line."""
    found: dict[str, Any] = {"photo": one_line(str(photo)), "status": answer["status"]}
    for name in COLUMNS[2:]:
        value = answer.get(name)
        found[name] = one_line(value) if isinstance(value, str) else value
    if found["confidence"] is None or answer.get("agreement") is not None:
        found["confidence"] = answer.get("agreement", found["confidence"])
    if "exif" in answer:
        exif = answer["exif"] or {}
        found |= {f"exif_{name}": exif.get(name) for name in ("lat_deg", "lon_deg", "distance_km")}
    return found


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """One photo's answer for people."""
    from globe.evaluation.radius_file import radius_text

    found = row(Path(), answer)
    if answer["status"] not in ("ok", "not_geocoded"):
        text = f": {one_line(answer['text'])}" if answer.get("text") else ""
        yield f"no place could be read from the answer ({answer['status'].replace('_', ' ')}){text}"
        return
    yield f"{_place(found)}  [{_position(found)}]{_confidence(found)}"
    if found["level"] == "country" and found["city"]:
        yield f"city not found: {found['city']} is not in the gazetteer, so the position is the country's centre"
    if radius := radius_text(answer):
        yield radius
    if others := answer.get("alternatives"):
        yield "or else: " + "; ".join(f"{_place(one)} ({one['share']:.0%})" for one in others)
    if (finest := answer.get("precision", "city")) != "city":
        yield f"this server tells no more than the {finest}"
    if found["reasoning"]:
        yield f"because: {found['reasoning']}"


def columns(found: Mapping[str, Any], photos: Sequence[Path]) -> str:
    """One of several photos' answers as a line of a table."""
    from globe.evaluation.radius_file import radius_text

    width = min(NAME_CHARS, max(len(one_line(str(photo))) for photo in photos[:1000]))
    name = found["photo"] if len(found["photo"]) <= width else f"…{found['photo'][1 - width :]}"
    if found["error"]:
        why = found["error"].removeprefix(f"{found['photo']}: ")
        return f"{name:<{width}}  -  {why}"
    if found["status"] not in ("ok", "not_geocoded"):
        return f"{name:<{width}}  -  no place in the answer ({found['status'].replace('_', ' ')})"
    parts = [f"{_place(found)}  [{_position(found)}]{_confidence(found)}", radius_text(found)]
    if (km := found.get("exif_distance_km")) is not None:
        parts.append(f"{km:,.1f} km off")
    return f"{name:<{width}}  {'  '.join(part for part in parts if part)}"


def _place(found: Mapping[str, Any]) -> str:
    names = (found["city"], found.get("region") if found.get("level") == "region" else "", found["country"])
    return one_line(", ".join(name for name in names if name))


def _position(found: Mapping[str, Any]) -> str:
    if found["status"] != "ok" or found["lat_deg"] is None:
        return "not in the gazetteer"
    position = f"{found['lat_deg']:.4f}, {found['lon_deg']:.4f}"
    if found["level"] in ("country", "region"):
        missing = "city not found: " if found["level"] == "country" and found["city"] else ""
        return f"{position}, {missing}the {found['level']}'s centre"
    return position


def _confidence(found: Mapping[str, Any]) -> str:
    return f"  (confidence {found['confidence']:.0%})" if found["confidence"] is not None else ""


def safe_cell(value: Any) -> Any:
    """A table's cell, of which no spreadsheet makes a formula: an apostrophe before a text says that it is one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


class CsvFile:
    """A table that grows row by row, so that what was told before an interruption is there. Use it in a `with` block.

    What the file held before stays until there is a first row.
    """

    def __init__(self, path: Path, compare_exif: bool = False) -> None:
        self._path = path
        self._columns = [*COLUMNS, *(EXIF_COLUMNS if compare_exif else ())]

    def __enter__(self) -> CsvFile:
        self._is_new, self._is_begun = not self._path.exists(), False
        try:
            self._file = self._path.open("a", newline="", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise cannot_write(self._path, error) from None
        self._writer = csv.DictWriter(self._file, self._columns)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._is_new and not self._is_begun:
            self._path.unlink(missing_ok=True)

    def add(self, found: Mapping[str, Any]) -> None:
        """Write a row."""
        try:
            if not self._is_begun:
                self._is_begun = True
                if self._path.is_file():  # and no pipe
                    self._file.truncate(0)
                self._writer.writeheader()
            self._writer.writerow({name: safe_cell(found.get(name)) for name in self._columns})
            self._file.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from None


class GeoJsonFile:
    """A map's points (RFC 7946), written when the `with` block that it is used in ends, however that is.

    An error before the first point leaves what the file held before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._features: list[dict[str, Any]] = []

    def __enter__(self) -> GeoJsonFile:
        folder = self._path.parent
        if self._path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise InputError(f"{self._path}: cannot be written; give a file in a folder that is there and may be written to")
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error and not self._features:
            return
        try:
            write_atomically(self._path, json_text({"type": "FeatureCollection", "features": self._features}))
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def add(self, found: Mapping[str, Any]) -> None:
        """Keep a row; one without a position has no point, but is there."""
        lat_deg, lon_deg = found["lat_deg"], found["lon_deg"]
        is_placed = found["status"] == "ok" and lat_deg is not None and math.isfinite(lat_deg)
        point = {"type": "Point", "coordinates": [lon_deg, lat_deg]} if is_placed else None
        told = {name: safe_cell(value) for name, value in found.items() if name not in ("lat_deg", "lon_deg")}
        self._features.append({"type": "Feature", "geometry": point, "properties": told})
