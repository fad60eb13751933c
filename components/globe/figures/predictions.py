"""predictions.jsonl: one answer a line, with the truth. This module defines its records, and reads and writes it.

It is written at the end of an evaluation, in the dataset's order; until then `globe.asking.journal` keeps the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from globe.data.tables import read_json_lines
from globe.errors import InputError
from globe.files import json_line, write_atomically
from globe.geo.distance import distance_km
from globe.geo.places import find_place

if TYPE_CHECKING:
    from globe.asking.answers import Location
    from globe.data.rows import Row

PREDICTIONS_FILE = "predictions.jsonl"

Status = Literal["ok", "no_answer", "not_parsed", "cut_off", "call_failed", "not_geocoded"]
"""What became of a call."""
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class TruePlace(BaseModel):
    """Where a picture was taken."""

    model_config = ConfigDict(strict=True)

    lat_deg: Latitude
    lon_deg: Longitude
    country: str | None = None
    city: str | None = None
    localizable: bool | None = None
    """Whether the teachers found that the picture shows where it was taken; None if they were not asked."""
    entities: list[str] | None = None
    """Visual elements known to be in the picture; None or empty if none are known."""
    scene: str | None = None
    photographer: str | None = None
    """These two as the data set names them."""


class Prediction(BaseModel):
    """One record of predictions.jsonl. Further fields are allowed, and kept."""

    model_config = ConfigDict(strict=True, extra="allow")

    id: str
    status: Status | None = None
    """"ok" if it is left out."""
    answer: str | None = None
    """Everything that the model wrote."""
    error: str | None = None
    """Why the call failed; empty if it did not."""
    country: str | None = None
    city: str | None = None
    level: Literal["city", "country", ""] | None = None
    """What the position is that of; None or "" where the model gave a position itself, or none is known."""
    lat_deg: Latitude | None = None
    lon_deg: Longitude | None = None
    distance_km: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Between the answer and the truth."""
    confidence: float | None = None
    attempts: int | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    tokens: dict[str, int | None] | None = None
    """Of the prompt and of the completion."""
    samples: list[dict[str, Any]] | None = None
    """All answers, where several were asked for; the record's own is the one that most others agree with."""
    agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the samples that agree with the record's answer."""
    truth: TruePlace

    @model_validator(mode="after")
    def _whole_position(self) -> Prediction:
        if (self.lat_deg is None) != (self.lon_deg is None):
            raise ValueError("lat_deg and lon_deg go together, and one of them is missing")
        if self.lat_deg is not None and self.status not in (None, "", "ok"):  # right in one figure, and a failure in another
            raise ValueError(f"has a position, and the status {self.status!r}, which says that there is none")
        return self


def prediction(row: Row, location: Location) -> dict[str, Any]:
    """The record of one answer: what the model said, the truth, and the distance between them."""
    distance = None
    if location.lat_deg is not None and location.lon_deg is not None:
        distance = distance_km(row.lat_deg, row.lon_deg, location.lat_deg, location.lon_deg)
    truth = {"country": row.country, "city": row.city, "lat_deg": row.lat_deg, "lon_deg": row.lon_deg}
    record: dict[str, Any] = {
        "id": row.id,
        "status": location.status,
        "answer": location.text,
        "error": location.error,
        "country": location.country,
        "city": location.city,
        "level": location.level,
        "lat_deg": location.lat_deg,
        "lon_deg": location.lon_deg,
        "distance_km": distance,
        "confidence": location.confidence,
        "attempts": location.attempts,
        "latency_s": location.latency_s,
        "first_token_s": location.first_token_s,
        "tokens": {"prompt": location.prompt_tokens, "completion": location.completion_tokens},
        "truth": truth | _known(row),
    }
    if location.samples:
        record |= {"samples": [_sample(one) for one in location.samples], "agreement": location.agreement}
    return record


def _sample(one: Location) -> dict[str, Any]:
    names = ("status", "country", "city", "level", "lat_deg", "lon_deg", "confidence")
    return {"answer": one.text} | {name: getattr(one, name) for name in names}


def _known(row: Row) -> dict[str, Any]:
    """What else is known of a picture."""
    told = {name: row.provenance.get(name) for name in ("scene", "photographer")}
    return {"localizable": row.localizable, "entities": row.entities} | told


def level_of(record: Mapping[str, Any]) -> str:
    """What the position of a prediction is that of: "city", "country", or "" where the model gave a position itself.

    Records without a level (older ones, and tables) are of a country if their names lead to its point and that is where they are.
    """
    level = record.get("level") or ""
    if level or not (record.get("country") or record.get("city")):
        return level
    found = find_place(record.get("city"), record.get("country"))
    if found.match != "country":
        return ""
    at_its_point = _is(record.get("lat_deg"), found.lat_deg) and _is(record.get("lon_deg"), found.lon_deg)
    return "country" if at_its_point else ""


def _is(degrees: float | None, known: float | None) -> bool:
    """Whether a coordinate is a known one, as it is or as tables round it, to two digits or more."""
    if degrees is None or known is None:
        return False
    return any(abs(degrees - round(known, digits)) < 1e-6 for digits in range(2, 7))


def write_predictions(folder: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write the predictions of a finished evaluation."""
    write_atomically(folder / PREDICTIONS_FILE, "".join(map(json_line, records)))


def read_predictions(folder: Path) -> list[dict[str, Any]]:
    """The predictions of a finished evaluation, in the dataset's order: one a picture, failed calls included.

    Raises:
        InputError: The folder has no predictions, or a line is not one; names file, row and field.
    """
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        raise InputError(f"{folder}: no {PREDICTIONS_FILE} in it; give the folder that globe evaluate wrote")
    return read_prediction_file(path)


def read_prediction_file(path: Path) -> list[dict[str, Any]]:
    """The predictions in a file that an evaluation wrote, in its order.

    Raises:
        InputError: It holds none, or a line is not one; names file, row and field.
    """
    records: dict[str, dict[str, Any]] = {}
    for where, record in read_json_lines(path):
        try:
            Prediction.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"{where}: not a prediction: {f'{field}: ' if field else ''}{first['msg']}") from None
        if record["id"] in records:
            raise InputError(f"{where}: id {record['id']!r} appears twice; keep one")
        records[record["id"]] = record
    if not records:
        raise InputError(f"{path}: holds no predictions")
    return list(records.values())
