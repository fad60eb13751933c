"""Datasets on disk: parquet shards with the image bytes in a column, and a manifest that is written last.

A folder without `manifest.json` is not a dataset, so a writer that is killed never leaves half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from globe.data.parts import Part
from globe.data.rows import SCHEMA, Row, from_record, to_record
from globe.data.seen import Seen
from globe.data.tables import parquet_batches, parquet_values
from globe.errors import InputError
from globe.files import file_sha256, write_json
from globe.storage import fetch, have

MANIFEST_NAME = "manifest.json"
FORMAT = 2
"""In the first one the provenance was a map."""
MAX_SHARD_BYTES = 512 * 1024 * 1024
# Rows are collected up to this size and written as one row group, which limits a reader's memory.
GROUP_BYTES = 32 * 1024 * 1024
GROUP_ROWS = 1024
# Room for parquet's headers and footer, and for text that doesn't compress.
_ROW_OVERHEAD_BYTES = 256
_SHARD_NAME = re.compile(r"part-\d{5}\.parquet")


class Shard(BaseModel):
    """One parquet file of a dataset."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^part-\d{5}\.parquet$")
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a dataset folder holds; `digest` changes if any stored byte does."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    rows: int = Field(ge=0)
    splits: dict[str, int]
    shards: list[Shard]
    digest: str


class DatasetWriter:
    """Writes rows to a dataset folder as they come, using limited memory.

    Use as a context manager. The manifest is written if the block ends without an error; otherwise the folder
    stays without one. An earlier dataset in the folder becomes invalid at once: its manifest is removed first.

    Args:
        folder: The dataset folder; created if it does not exist. Other files in it are left alone.
        max_shard_bytes: Upper limit of one parquet file.
    """

    def __init__(self, folder: Path, max_shard_bytes: int = MAX_SHARD_BYTES) -> None:
        self.folder = Path(folder)
        self.manifest: Manifest | None = None
        self._max_shard_bytes = max_shard_bytes
        self._group_bytes = min(GROUP_BYTES, max(1, max_shard_bytes // 4))
        self._ids = Seen()
        self._splits = {"train": 0, "test": 0}
        self._shards: list[Shard] = []
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = 0
        self._shard_bytes = 0
        self._shard_rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._partial = self.folder / "part.tmp"

    def __enter__(self) -> DatasetWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MANIFEST_NAME).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if _SHARD_NAME.fullmatch(path.name):
                path.unlink()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ids.close()
        if kind is None:
            self._finish()
            return
        if self._writer is not None:
            self._writer.close()
        self._partial.unlink(missing_ok=True)

    def add(self, row: Row) -> None:
        """Append a row.

        Raises:
            InputError: The id was already written, or the row alone is larger than a shard may be.
        """
        if not self._ids.add(row.id.encode()):
            raise InputError(f"{self.folder}: id {row.id!r} appears twice; give each picture its own id")
        size = _ROW_OVERHEAD_BYTES + len(row.image) + 4 * len(row.reasoning) + sum(4 * len(e) + 8 for e in row.entities)
        if size > self._max_shard_bytes:
            raise InputError(f"{self.folder}: row {row.id!r} of {size} bytes is larger than a shard may be")
        # The row starts a new group, and that group a new shard, if it would overflow the current one.
        if self._pending_bytes + size > self._group_bytes or len(self._pending) >= GROUP_ROWS:
            self._write_group()
        if self._shard_bytes + self._pending_bytes + size > 0.98 * self._max_shard_bytes:
            self._write_group()
            self._close_shard()
        self._pending.append(to_record(row))
        self._pending_bytes += size
        self._splits[row.split] += 1

    def _write_group(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            # Pictures are compressed already; a dictionary only pays off for names that repeat.
            self._writer = pq.ParquetWriter(
                self._partial,
                SCHEMA,
                compression={name: "none" if name == "image" else "zstd" for name in _leaf_names()},
                use_dictionary=["country", "city", "split"],
                write_statistics=False,
            )
        self._writer.write_table(pa.Table.from_pylist(self._pending, schema=SCHEMA))
        self._shard_bytes += self._pending_bytes
        self._shard_rows += len(self._pending)
        self._pending, self._pending_bytes = [], 0

    def _close_shard(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        name = f"part-{len(self._shards):05d}.parquet"
        os.replace(self._partial, self.folder / name)
        size = (self.folder / name).stat().st_size
        digest = file_sha256(self.folder / name)
        self._shards.append(Shard(name=name, rows=self._shard_rows, bytes=size, sha256=digest))
        self._shard_bytes = self._shard_rows = 0

    def _finish(self) -> None:
        self._write_group()
        self._close_shard()
        self.manifest = Manifest(
            rows=sum(shard.rows for shard in self._shards),
            splits=self._splits,
            shards=self._shards,
            digest=_digest_of(self._shards),
        )
        write_json(self.folder / MANIFEST_NAME, self.manifest.model_dump(mode="json"))


def write_dataset(folder: Path, rows: Iterable[Row], max_shard_bytes: int = MAX_SHARD_BYTES) -> Manifest:
    """Write rows as a dataset; the manifest comes last.

    Args:
        folder: Where to write; an earlier dataset there is replaced.
        rows: The rows; read once, as a stream.
        max_shard_bytes: Upper limit of one parquet file.

    Returns:
        The manifest as written.

    Raises:
        InputError: Two rows share an id, or a row is larger than a shard may be.
    """
    with DatasetWriter(folder, max_shard_bytes) as writer:
        for row in rows:
            writer.add(row)
    assert writer.manifest is not None
    return writer.manifest


def read_manifest(folder: Path) -> Manifest:
    """Read and check a dataset's manifest (the shards themselves are checked by `read_dataset`).

    Raises:
        InputError: No folder, no manifest, or one that is damaged or contradicts itself.
    """
    path = Path(folder) / MANIFEST_NAME
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; expected a dataset (parquet shards and {MANIFEST_NAME})")
    if not path.is_file():
        raise InputError(f"{folder}: no {MANIFEST_NAME}, so this is no finished dataset; run the stage that writes it")
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}; write the dataset again") from error
    if manifest.format != FORMAT:
        raise InputError(
            f"{path}: format {manifest.format}, not {FORMAT}; write the dataset again or use the release that wrote it"
        )
    names = [shard.name for shard in manifest.shards]
    consistent = (
        manifest.rows == sum(shard.rows for shard in manifest.shards)
        and manifest.digest == _digest_of(manifest.shards)
        and len(set(names)) == len(names)
    )
    if not consistent:
        raise InputError(f"{path}: counts, names or digest don't agree with its shards; write the dataset again")
    return manifest


def read_dataset(folder: Path, part: Part | None = None) -> Iterator[Row]:
    """Yield a dataset's rows in stored order, checking each shard's sha256 before its first row.

    Args:
        folder: The dataset.
        part: Which of its rows; all by default. Shards without any of them are neither fetched nor read.

    Raises:
        InputError: The manifest is missing or damaged, a shard is missing or changed, or a row doesn't validate.
    """
    manifest = read_manifest(folder)
    # Not a generator itself, so that the call reports a missing dataset, and not the first row.
    return _read_shards(Path(folder), manifest, part or Part(0, manifest.rows))


def read_columns(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield some fields of a dataset's rows, as parquet has them, without reading the others, such as the pictures.

    For counts and choices over a dataset that may be large; who needs its rows checked calls `read_dataset`.

    Raises:
        InputError: The manifest is missing or damaged, or a shard is.
    """
    manifest = read_manifest(folder)
    return _read_fields(Path(folder), manifest, list(names))


def dataset_digest(folder: Path) -> str:
    """Return the digest of a dataset, as its manifest states it.

    Raises:
        InputError: As `read_manifest`.
    """
    return read_manifest(folder).digest


def count_rows(folder: Path) -> int:
    """Return the number of rows of a dataset, as its manifest states it.

    Raises:
        InputError: As `read_manifest`.
    """
    return read_manifest(folder).rows


def is_dataset(folder: Path) -> bool:
    """Tell whether a folder holds a finished dataset (its manifest exists)."""
    return (Path(folder) / MANIFEST_NAME).is_file()


def fetch_dataset(place: str) -> str:
    """Download a dataset, or a folder that holds some, from S3; shards are downloaded when they are read.

    Args:
        place: Its `s3://` URI; anything else is returned as it is.

    Returns:
        Its folder on this machine.

    Raises:
        InputError: Nothing is there, or it cannot be reached.
    """
    return fetch(place, all_but_shards)


def all_but_shards(names: Collection[str]) -> set[str]:
    """The names of a folder's files without the shards of datasets, which have a manifest beside them."""
    paths = [PurePosixPath(name) for name in names]
    datasets = {path.parent for path in paths if path.name == MANIFEST_NAME}
    return {str(path) for path in paths if not (path.parent in datasets and _SHARD_NAME.fullmatch(path.name))}


def _read_shards(folder: Path, manifest: Manifest, part: Part) -> Iterator[Row]:
    first = 0  # of the shard's rows, counted through the dataset
    for shard in manifest.shards:
        if first < part.end and first + shard.rows > part.first:
            skip = max(0, part.first - first)
            yield from islice(_read_shard(folder, shard, skip), min(shard.rows, part.end - first) - skip)
        first += shard.rows


def _read_shard(folder: Path, shard: Shard, skip: int) -> Iterator[Row]:
    path = have(folder / shard.name)
    if not path.is_file():
        raise InputError(f"{path}: the manifest names this shard but it is missing; write the dataset again")
    if path.stat().st_size != shard.bytes or file_sha256(path) != shard.sha256:
        raise InputError(f"{path}: sha256 is not the manifest's: damaged or changed; write the dataset again")
    record: dict[str, Any] = {}
    try:
        with pq.ParquetFile(path) as file:
            _check_contents(path, file, shard)
            for _, record in parquet_values(file, SCHEMA.names, skip, batch_rows=256):
                yield from_record(record)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        row = first.get("input") if field == "id" else record.get("id")
        raise InputError(f"{path}: row {row!r}, field {field}: {first['msg']}") from error
    except pa.ArrowException as error:
        raise InputError(f"{path}: not readable as parquet ({error}); write the dataset again") from error


def _read_fields(folder: Path, manifest: Manifest, names: list[str]) -> Iterator[dict[str, Any]]:
    for shard in manifest.shards:
        path = have(folder / shard.name)
        try:
            with pq.ParquetFile(path) as file:
                _check_contents(path, file, shard)
                for batch in parquet_batches(file, names, GROUP_ROWS):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: not readable as parquet ({error}); write the dataset again") from error


def _check_contents(path: Path, file: pq.ParquetFile, shard: Shard) -> None:
    if not file.schema_arrow.equals(SCHEMA):
        raise InputError(f"{path}: its columns are not those of a dataset; write the dataset again")
    if (rows := file.metadata.num_rows) != shard.rows:
        raise InputError(f"{path}: has {rows} rows, and not {shard.rows} as the manifest says; write the dataset again")


def _digest_of(shards: list[Shard]) -> str:
    text = json.dumps([[shard.name, shard.rows, shard.sha256] for shard in shards])
    return hashlib.sha256(text.encode()).hexdigest()


def _leaf_names() -> list[str]:
    """Names of the parquet leaf columns, which the writer's per-column settings use."""
    nested = {
        "entities": ["entities.list.element"],
        "provenance": ["provenance.list.element.key", "provenance.list.element.value"],
    }
    return [leaf for name in SCHEMA.names for leaf in nested.get(name, [name])]
