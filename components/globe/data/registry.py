"""Data sets that are known by name: one file each in `sets/`, which says how the public distribution is laid out.

A layout is a list of names to look for, because mirrors differ: the table is the first that is found, and the pictures are taken
from all places that are. A data set that is not listed needs no file here: any table or folder can be given by its path.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from globe.data.tables import COLUMNS
from globe.errors import InputError

SETS_FOLDER = Path(__file__).parent / "sets"


class DataSet(BaseModel):
    """A published data set.

    Attributes:
        name: What users call it; the file's name too.
        title: What reports call it.
        aliases: Other names in use, such as those in the original's eval.py.
        tables: Files with ids and positions, best first, relative to the set's folder; glob patterns are allowed.
        images: Folders, zips and tars with the pictures, likewise; the set's own folder if none of them is there.
        pictures_also_in: Names of data sets that have the same pictures under the same ids, for those that this one's lack.
        columns: The table's column for each field whose name `globe.data.tables.COLUMNS` would not find, or would find wrongly.
        rows: Rows that the published table has; None if no single figure is published.
        source: Page that says where to get it.
        licence: What its pages say about reuse.
        notes: What else to know, and what is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    aliases: list[str] = Field(default_factory=list)
    tables: list[str] = Field(min_length=1)
    images: list[str] = Field(min_length=1)
    pictures_also_in: list[str] = Field(default_factory=list)
    columns: dict[str, str] = Field(default_factory=dict)
    rows: PositiveInt | None
    source: str = Field(pattern=r"^https?://")
    licence: str
    notes: str

    @field_validator("tables", "images")
    @classmethod
    def _within(cls, value: list[str]) -> list[str]:
        for name in value:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name} is not a path within the set's folder")
        return value

    @field_validator("columns")
    @classmethod
    def _fields(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(COLUMNS))
        if unknown:
            raise ValueError(f"{unknown[0]} is no field; there are {', '.join(COLUMNS)}")
        return value


@cache
def data_sets() -> dict[str, DataSet]:
    """All known data sets by name.

    Raises:
        InputError: A file is not as it must be; names file and field.
    """
    found = {}
    for path in sorted(SETS_FOLDER.glob("*.yaml")):
        try:
            one = DataSet.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if one.name != path.stem:
            raise InputError(f"{path}: name: is {one.name}, not the file's")
        found[one.name] = one
    for one in found.values():
        for other in one.pictures_also_in:
            if other not in found or other == one.name:
                raise InputError(f"{SETS_FOLDER / one.name}.yaml: pictures_also_in: there is no other data set {other}")
    return found


def find_data_set(name: str) -> DataSet | None:
    """A data set by its name or one of its aliases, upper or lower case; None if there is none."""
    wanted = name.lower()
    return next((one for one in data_sets().values() if wanted in (one.name, *one.aliases)), None)
