"""Pictures that lie in a parquet table itself: a column of bytes, or of Hugging Face's structure of bytes and path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from globe.data.tables import COLUMNS, parquet_values
from globe.errors import InputError

_BATCH_ROWS = 4  # pictures of full size are megabytes each, and a table of kilobytes may say the same 60 MB in every row


def picture_column(table: Path) -> str:
    """Name of the column that holds pictures; "" if the table only names files.

    Args:
        table: A parquet table.

    Raises:
        InputError: It cannot be read, or several columns hold bytes and none has a usual name.
    """
    try:
        schema = pq.read_schema(table)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{table}: not readable as parquet ({' '.join(str(error).split())[:100]})") from None
    found = {field.name.lower(): field.name for field in schema if _holds_bytes(field.type)}
    if len(found) <= 1:
        return next(iter(found.values()), "")
    usual = next((found[name] for name in COLUMNS["file"] if name in found), None)
    if usual is None:
        raise InputError(f"{table}: several columns hold bytes ({', '.join(found.values())}); call the pictures' column image")
    return usual


def parquet_rows(table: Path) -> int:
    """How many rows a parquet table has, as its own directory says.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return int(pq.read_metadata(table).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{table}: not readable as parquet ({' '.join(str(error).split())[:100]})") from None


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


class EmbeddedPictures:
    """Reads the pictures of parquet tables in the order of their rows, a few at a time.

    Args:
        tables: The tables, whose rows are numbered through.
        column: Their column of pictures.
        first: Number of the first row that will be asked for; groups of rows before it are not read.
    """

    def __init__(self, tables: Sequence[Path], column: str, first: int = 0) -> None:
        self._tables, self._column = tables, column
        self._next, self._values = first, self._all(first)

    def read(self, row: int) -> tuple[bytes | None, str]:
        """A row's picture and the name of its file, either of which may lack.

        Args:
            row: Its number, from 0, through all tables; rows may be left out, but not asked for again.

        Raises:
            InputError: A table is damaged.
        """
        value: Any = None
        while self._next <= row:
            value, self._next = next(self._values), self._next + 1
        if isinstance(value, dict):
            return value.get("bytes"), str(value.get("path") or "")
        return (None, value) if isinstance(value, str) else (value, "")  # another part of the table may only name files

    def _all(self, skip: int) -> Iterator[Any]:
        for table in self._tables:
            try:
                with pq.ParquetFile(table) as file:
                    for _, row in parquet_values(file, [self._column], skip, _BATCH_ROWS):
                        yield row[self._column]
                    skip = max(0, skip - file.metadata.num_rows)
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{table}: not readable as parquet ({' '.join(str(error).split())[:100]})") from None
