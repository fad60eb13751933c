"""One row of a dataset: the pydantic model that checks it and the arrow schema that stores it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_ID_CHARS = 512
Split = Literal["train", "test"]
_SPLITS: dict[str, Split] = {"": "train", "train": "train", "training": "train"}
_SPLITS |= dict.fromkeys(("test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"), "test")


def split_of(name: str) -> Split | None:
    """The split of a row, by any usual name of it: what anybody holds out is held out here, too. None if it is no such name.

    Args:
        name: As a table has it; "" is for training.
    """
    return _SPLITS.get(name.strip().lower())


class Row(BaseModel):
    """A picture, where it was taken, and what the pipeline has learned about it so far.

    Attributes:
        id: Unique within a dataset, at most 512 characters, no control characters.
        image: The picture file as stored: PNG, JPEG or WEBP.
        lat_deg: Latitude of the truth in degrees, -90 to 90.
        lon_deg: Longitude of the truth in degrees, -180 to 180.
        country: Country of the truth; "" when unknown.
        city: City of the truth; "" when unknown.
        split: "train" or "test"; a held-out picture never leaves "test".
        reasoning: Text that explains the place; "" when none was distilled.
        entities: Visual elements known to be in the picture.
        localizable: Whether the picture can be located at all; None if that has not been judged.
        provenance: Field name -> where its value came from, for example {"reasoning": "toy-vlm-a"}.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    id: str = Field(min_length=1, max_length=MAX_ID_CHARS)
    image: bytes = Field(min_length=1, repr=False)
    lat_deg: float = Field(ge=-90, le=90, allow_inf_nan=False)
    lon_deg: float = Field(ge=-180, le=180, allow_inf_nan=False)
    country: str
    city: str
    split: Split
    reasoning: str = ""
    entities: list[str] = Field(default_factory=list)
    localizable: bool | None = None
    provenance: dict[str, str] = Field(default_factory=dict)

    @property
    def made(self) -> str:
        """What kind of example this is if it was made of other rows to be told "no"; "" of a picture with its own teacher's text.

        Only the reward model is trained on such rows.
        """
        return self.provenance.get("made", "")

    @field_validator("id")
    @classmethod
    def _printable(cls, value: str) -> str:
        # Ids are shown in reports, JSON lines and terminals.
        if not value.isprintable():
            raise ValueError("an id holds a control character")
        return value

    @field_validator("provenance", mode="before")
    @classmethod
    def _told_once(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        # Of two the last would count, and what a row is made of decides what it teaches.
        origin = _origins(value)
        if len(origin) < len(value):
            raise ValueError("a key stands there twice")
        return origin

    @field_validator("country", "city")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return value.strip()


_ORIGIN = pa.struct([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.string(), nullable=False)])
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("lat_deg", pa.float64(), nullable=False),
        pa.field("lon_deg", pa.float64(), nullable=False),
        pa.field("country", pa.string(), nullable=False),
        pa.field("city", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("reasoning", pa.string(), nullable=False),
        pa.field("entities", pa.list_(pa.string()), nullable=False),
        pa.field("localizable", pa.bool_()),
        # Not a map of parquet's, which the `datasets` library cannot read.
        pa.field("provenance", pa.list_(pa.field("element", _ORIGIN, nullable=False)), nullable=False),
    ]
)
"""Column order and types of every shard; the fields are those of `Row`."""


def to_record(row: Row) -> dict[str, Any]:
    """Turn a row into the mapping that pyarrow stores under `SCHEMA`."""
    record = {name: getattr(row, name) for name in SCHEMA.names}
    # Sorted, so that the same provenance always gives the same bytes.
    record["provenance"] = [{"key": key, "value": value} for key, value in sorted(row.provenance.items())]
    return record


def from_record(record: dict[str, Any]) -> Row:
    """Turn a stored mapping back into a row.

    Raises:
        pydantic.ValidationError: A field is missing, unknown, or out of range.
    """
    return Row.model_validate(record)


def provenance_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Where the values of a stored mapping came from, as `Row.provenance` has it."""
    return _origins(record["provenance"])


def _origins(stored: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {one["key"]: one["value"] for one in stored}
