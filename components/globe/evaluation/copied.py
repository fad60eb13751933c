"""Predictions that are the truth: a table with both is easily read the wrong way, and then everything is right.

Refused are the truth's own file; a table with positions or names beside others that are marked as predictions; and columns that
repeat the truth so exactly that no model wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from globe.answer.locate import locate
from globe.data.tables import COLUMNS, find_columns, refuse_two_positions
from globe.errors import InputError

FIELDS = ("id", "lat", "lon", "country", "city", "region", "answer", "status", "level", "error")
TOLD_BY_A_TRUTH = ("lat", "lon", "country", "city")
SAME_DEG = 1e-5
"""Positions this close are the same one, written with five digits or more: about a metre."""
MANY = 20
"""A few pictures may be placed exactly where the truth has them, as where the truth is a list of cities, but not this many."""
_PLACE = (*TOLD_BY_A_TRUTH, "region")
_MARK, _ESTIMATE = (
    r"(?:pred(?:ict(?:ed|ions?))?|guess(?:ed)?)",
    r"(?:est(?:imated?)?|infer(?:red)?|answer(?:ed)?|model|output|hat)",
)
_MARKED = re.compile(rf"{_MARK}[ _.-]*(?P<after>.+)|(?P<before>.+?)[ _.-]*{_MARK}", re.IGNORECASE)
_ESTIMATED = re.compile(rf"{_ESTIMATE}[ _.-]+(?P<after>.+)|(?P<before>.+?)[ _.-]+{_ESTIMATE}", re.IGNORECASE)
"""These say less: "latest" is no latitude, and of "model answer" there need not be another."""


def prediction_columns(path: Path, header: Iterable[str]) -> dict[str, str]:
    """The column of each field of a table of predictions; those marked as predictions ("pred_lat", "lat_pred") come first.

    Raises:
        InputError: There are such columns, and plain ones too, which are probably the truth; or two plain ones for one field.
    """
    header = list(header)
    refuse_two_positions(path, header, truth=False)
    plain = find_columns(header, FIELDS)
    marked: dict[str, str] = {}
    for column in header:
        if field := _predicted(column.strip()):
            marked.setdefault(field, column)
    beside = [plain[field] for field in TOLD_BY_A_TRUTH if field in plain]
    if marked and beside:
        raise InputError(
            f"{path}: row 1: has the columns {', '.join(beside)} beside {', '.join(marked.values())}, so it is unclear which are "
            f"the predictions; remove or rename those that are the truth (such as true_{beside[0].lower()})"
        )
    return plain | marked


def _predicted(column: str) -> str:
    """The field of a column that is marked as a prediction; empty for any other."""
    for pattern, fields in ((_MARKED, (*_PLACE, "answer")), (_ESTIMATED, _PLACE)):
        match = pattern.fullmatch(column)
        name = ((match["after"] or match["before"]) if match else "").lower()
        for field in fields:
            if name in COLUMNS[field]:
                return field
    return ""


def check_other_file(predictions_path: Path, truth_path: Path) -> None:
    """Refuse the truth's own file, or a copy of it, as predictions."""
    if not (predictions_path.is_file() and truth_path.is_file()):
        return  # said better by whoever reads them
    same = predictions_path.samefile(truth_path) or (
        predictions_path.stat().st_size == truth_path.stat().st_size and predictions_path.read_bytes() == truth_path.read_bytes()
    )
    if same:
        raise InputError(
            f"{predictions_path}: is the same as {truth_path}, the truth; give the predictions in a file of their own, with id "
            "and any of answer | country, city | lat, lon"
        )


def check_not_copied(predictions_path: Path, truth_path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse predictions whose columns repeat the truth in every row.

    Equal positions alone are refused from `MANY` rows on, for a small table may be right in all of them; equal positions and
    names, or ones that overrule an answer in the same row that leads elsewhere, in any number. Positions that were looked up
    from names, as an evaluation's are, were not copied.

    Args:
        predictions_path: Named in the message.
        truth_path: Likewise.
        records: Predictions with their truth.
    """
    placed = [record for record in records if record["lat_deg"] is not None and not record.get("level")]
    named = [record for record in records if record["country"] or record["city"]]
    whole = named == placed and all(map(_same_names, named))
    for columns, rows, same in (("lat and lon", placed, _same_position), ("country and city", named, _same_names)):
        if not rows or not all(map(same, rows)):
            continue
        answered = [record for record in rows if record.get("answer")]
        overruled = next((record for record in answered if not _said(record)), None)
        if overruled is not None or (rows is placed and not answered and (whole or len(rows) >= MANY)):
            why = f", though id {overruled['id']!r} answers something else" if overruled else ""
            raise InputError(
                f"{predictions_path}: {columns} are those of {truth_path} in all of {len(rows)} rows{why}: they are the truth, "
                "not predictions; remove or rename these columns"
            )


def _same_position(record: Mapping[str, Any]) -> bool:
    truth = record["truth"]
    return all(abs(record[name] - truth[name]) <= SAME_DEG for name in ("lat_deg", "lon_deg"))


def _same_names(record: Mapping[str, Any]) -> bool:
    truth = record["truth"]
    return all((record[name] or "") == (truth.get(name) or "") for name in ("country", "city"))


def _said(record: Mapping[str, Any]) -> bool:
    """Whether the answer's text leads to the position of its row."""
    place = locate(record["answer"]).place
    return (place.lat_deg, place.lon_deg) == (record["lat_deg"], record["lon_deg"])
