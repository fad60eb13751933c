"""What is remembered of each picture beside its bytes, so that whole sources can be compared without reading them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from globe.curation.guard.near_duplicates import perceptual_hash
from globe.curation.recipe import CurationRecipe
from globe.data.ingest import identity_of
from globe.data.named import Given, resolve
from globe.data.rows import Row
from globe.data.sources import count_listed, read_source
from globe.data.tables import parquet_batches
from globe.errors import InputError

FACTS_NAME = "facts.parquet"
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("sha256", pa.binary(32), nullable=False),
        pa.field("lat_deg", pa.float64(), nullable=False),
        pa.field("lon_deg", pa.float64(), nullable=False),
        pa.field("country", pa.string(), nullable=False),
        pa.field("city", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("photographer", pa.string(), nullable=False),
        pa.field("phash", pa.uint64()),
    ]
)
"""Columns of a file of facts; the fields of `Facts`, in their order."""
BATCH_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Facts:
    """A picture, without its bytes.

    Attributes:
        id: The row's.
        sha256: Of the stored picture.
        lat_deg: Latitude of the truth in degrees.
        lon_deg: Longitude of the truth in degrees.
        country: Country of the truth.
        city: City of the truth.
        split: As the source has it.
        photographer: Who took it; "" if unknown.
        phash: 64-bit perceptual hash; None for a picture that has none (`globe.curation.guard.near_duplicates.perceptual_hash`).
    """

    id: str
    sha256: bytes
    lat_deg: float
    lon_deg: float
    country: str
    city: str
    split: Literal["train", "test"]
    photographer: str = ""
    phash: int | None = None


def facts_of(row: Row) -> Facts:
    """The facts of a row. Its picture is decoded, small; one that can't be has no perceptual hash."""
    return Facts(
        id=row.id,
        sha256=hashlib.sha256(row.image).digest(),
        lat_deg=row.lat_deg,
        lon_deg=row.lon_deg,
        country=row.country,
        city=row.city,
        split=row.split,
        photographer=row.provenance.get("photographer", ""),
        phash=perceptual_hash(row.image),
    )


def test_sets_of(recipe: CurationRecipe) -> dict[str, Given]:
    """The test sets that a recipe names, by their names there.

    Raises:
        InputError: One of them cannot be found or has no rows that could be read; names it.
    """
    found = {}
    for name in recipe.test_sets:
        try:
            found[name] = resolve(name)
            count_listed(found[name])
        except InputError as error:
            raise InputError(f"test_sets: {error}") from None
    return found


def test_sets_inputs(recipe: CurationRecipe) -> dict[str, str]:
    """What the test sets hold, as inputs of a stage: a set that has changed guards against other leaks.

    Raises:
        InputError: As `test_sets_of`.
    """
    return {f"test set {name}": identity_of(given) for name, given in test_sets_of(recipe).items()}


def facts_of_set(given: Given) -> Iterator[Facts]:
    """The facts of a test set's usable pictures, those far from any place among them.

    Raises:
        InputError: It can't be read.
    """
    return map(facts_of, read_source(given, keep_remote=True))


def write_facts(path: Path, facts: Iterable[Facts]) -> None:
    """Write a file of facts, which appears when it is whole; an earlier one is removed at once.

    Args:
        path: The file.
        facts: Read once, as a stream, using limited memory.
    """
    path.unlink(missing_ok=True)
    partial, remaining = path.with_name(f"{path.name}.tmp"), iter(facts)
    try:
        with pq.ParquetWriter(partial, SCHEMA, compression="zstd", use_dictionary=["country", "city", "split"]) as writer:
            while batch := list(islice(remaining, BATCH_ROWS)):
                writer.write_table(to_table(batch))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_facts(path: Path) -> Iterator[Facts]:
    """Yield the facts of a file in stored order, using limited memory.

    Raises:
        InputError: It is missing, damaged, or no file of facts.
    """
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise InputError(f"{path}: its columns are not those of pictures' facts; remove it, and it is made again")
            for batch in parquet_batches(file, None, BATCH_ROWS):
                yield from from_table(batch)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as pictures' facts ({error}); remove it, and it is made again") from error


def to_table(facts: Iterable[Facts]) -> pa.Table:
    """Facts as columns."""
    columns = zip(*map(attrgetter(*SCHEMA.names), facts), strict=True)
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def from_table(table: pa.Table | pa.RecordBatch) -> Iterator[Facts]:
    """Columns as facts."""
    return map(Facts, *(column.to_pylist() for column in table.columns))
