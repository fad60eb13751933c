"""Read tables (CSV, TSV, JSON lines, parquet) whatever their columns are called; errors name the file and the row."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from globe.errors import InputError

COLUMNS = {
    "id": ("id", "img_id", "image_id", "image"),
    "file": ("image", "img_id", "file", "filename", "file_name", "path", "photo", "image_id", "id"),
    "lat": ("lat", "latitude", "lat_deg"),
    "lon": ("lon", "longitude", "lng", "long", "lon_deg"),
    "country": ("country", "country_code"),
    "city": ("city",),
    "scene": ("scene", "s3_label", "s16_label", "scene_label"),
    "photographer": ("photographer", "author", "user", "user_id", "owner", "creator_username", "creator_id"),
    "region": ("region", "state"),
    "split": ("split",),
    "answer": ("answer", "text", "completion", "prediction"),
    "status": ("status",),
    "level": ("level",),
    "error": ("error",),
    "localizable": ("localizable", "localisable"),
}
"""Names for each field's column, upper or lower case, best first. MP-16 and GLOBE's tables have IMG_ID, LAT and LON,
and those with Places365 labels AUTHOR and S3_Label."""
MAX_FIELD_CHARS = 16_000_000
"""Longest field of a strictly read table: models' answers may be long."""
MAX_LOOSE_FIELD_CHARS = 131_072
"""Longest field of a loosely read table: a longer one is most likely due to an unclosed quotation mark."""
MAX_LINE_CHARS = 4_000_000
"""Longest line of a loosely read table, which is never in memory as a whole."""
_TRUE = re.compile(r"^(?:true|truth|gt|ground[ _-]?truth|actual|real)[ _.-]*|[ _.-]+(?:true|truth|gt|actual|real)$")
"""How a column's name says that it holds the truth."""
SURPLUS = "(fields without a column)"
"""Column in which a loosely read row keeps the fields for which the header has no name."""
DEFECT = "(what is wrong with the row)"
"""Column in which a loosely read row that cannot be understood says why: one of the two reasons below."""
NOT_UTF8, NOT_CSV = "row_not_utf8", "row_not_csv"
_UNDECODABLE = re.compile("[\udc80-\udcff]")
"""What bytes become that are not UTF-8, in a loosely read table."""


def find_columns(header: Iterable[str], fields: Iterable[str]) -> dict[str, str]:
    """The column of each field, by the names in `COLUMNS`; fields without a column are left out."""
    names: dict[str, str] = {}
    for column in header:
        names.setdefault(column.strip().lower(), column)
    found = {field: next((names[name] for name in COLUMNS[field] if name in names), None) for field in fields}
    return {field: column for field, column in found.items() if column is not None}


def refuse_two_positions(path: Path, header: Iterable[str], truth: bool = True) -> None:
    """Refuse a table with two columns that may be its latitude, or longitude: one may be the truth, the other a prediction.

    Args:
        path: The table.
        header: Its columns.
        truth: Whether columns that are marked as the truth ("true_lat") may be meant, too.

    Raises:
        InputError: There are two; names them.
    """
    plain = {column: _TRUE.sub("", column.strip().lower()) if truth else column.strip().lower() for column in header}
    for field in ("lat", "lon"):
        found = [column for column, name in plain.items() if name in COLUMNS[field]]
        if len(found) > 1:
            raise InputError(
                f"{path}: row 1: has the columns {', '.join(found)}, so it is unclear which position is meant; remove or rename "
                "those that are not"
            )


def table_rows(
    path: Path, *, loose: bool = False, content: bytes | None = None, skip: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows as (file and row, {column: text}), as a stream; the first one names no row and only lists the columns.

    In JSON and parquet, numbers become text and null becomes an empty text; lists and objects stay as they are. A parquet table's
    columns of bytes and of structures, such as embedded pictures, are named but not read.

    Args:
        path: The table.
        loose: Let the caller judge rows of a CSV file that have too few or too many fields: missing fields are empty, extra ones
            are kept in `SURPLUS`; one that is not UTF-8, or is no CSV by itself, says so in `DEFECT`. Otherwise such rows are
            refused. Two columns of the same name are refused too, but here only those that `COLUMNS` knows.
        content: A CSV's bytes where they are no file, as of a table in an archive; the path is its name in messages.
        skip: How many rows to pass over at the beginning; they still count in the numbers of the others.

    Raises:
        InputError: The file or a row of it cannot be read; names file and row.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_rows(path, loose, skip)
    return _json_rows(path, skip) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(path, loose, content, skip)


def unblanked(where: str, column: str, text: str) -> str:
    """An id as it is written: rows are found by it, so blanks at its ends, which nobody sees, are no part of it.

    Raises:
        InputError: It has some; names the row.
    """
    if text != text.strip():
        raise InputError(f"{where}: {column} {text[:60]!r} has blanks at its ends; remove them")
    return text


def _csv_rows(path: Path, loose: bool, content: bytes | None, skip: int) -> Iterator[tuple[str, dict[str, str]]]:
    csv.field_size_limit(MAX_LOOSE_FIELD_CHARS if loose else MAX_FIELD_CHARS)  # applies to the whole process
    with _text(path, loose, content) as text:
        lines = _lines(path, text) if loose else iter(text)
        first = next(lines, "")
        # A line break inside a quoted field belongs to it, so the reader gets all lines and not one at a time. It is strict, for
        # otherwise an unclosed quotation mark makes all rows up to the next one a part of its field, and they are gone.
        reader = csv.reader(chain([first], lines), delimiter=_delimiter(path, first), strict=True)
        rows = _fields(path, reader, loose)
        header = [name.strip() for name in next(rows, [])]
        if _UNDECODABLE.search("".join(header)):
            raise InputError(f"{path}: row 1: not a text file in UTF-8; export it as CSV in UTF-8")
        _refuse_twice(f"{path}: row 1", header, loose)
        yield "", dict.fromkeys(header, "")
        for number, fields in enumerate(rows, start=2):
            if not fields:  # a blank line
                continue
            skip -= 1
            if skip < 0:
                yield f"{path}: row {number}", _row(f"{path}: row {number}", header, fields, loose)


def _fields(path: Path, reader: Any, loose: bool) -> Iterator[Any]:
    """The fields of each row; loosely, `NOT_CSV` for a line that is no row by itself."""
    number, line = 0, 0
    while True:
        number += 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # What is wrong within one line ends with it. Over several, other rows have become a part of the wrong one.
            if not loose or number == 1 or reader.line_num > line + 1 or "field limit" in str(error):
                raise InputError(f"{path}: row {number}: not CSV ({error}); is a quotation mark in it unclosed?") from None
            yield NOT_CSV
        line = reader.line_num


def _row(where: str, header: list[str], fields: list[str] | str, loose: bool) -> dict[str, str]:
    row = dict.fromkeys(header, "")
    if isinstance(fields, str):
        return row | {DEFECT: fields}
    if len(fields) != len(header) and not loose:
        raise InputError(f"{where}: has {len(fields)} fields, the header {len(header)}; quote fields that hold a comma")
    row |= zip(header, fields, strict=False)
    if len(fields) > len(header):
        row[SURPLUS] = ",".join(fields[len(header) :])
    if loose and any(not field.isascii() and _UNDECODABLE.search(field) for field in fields):
        return dict.fromkeys(header, "") | {DEFECT: NOT_UTF8}
    return row


def _text(path: Path, loose: bool, content: bytes | None) -> TextIO:
    """A table's text; loosely, as a stream in which bytes that are not UTF-8 become what `_UNDECODABLE` finds."""
    if not loose:
        return io.StringIO(read_text(path) if content is None else _decoded(path, content), newline="")
    raw = _opened(path) if content is None else io.BytesIO(content)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _lines(path: Path, text: TextIO) -> Iterator[str]:
    while line := text.readline(MAX_LINE_CHARS):
        if "\0" in line:
            raise InputError(f"{path}: holds NUL bytes, so it is not a text table; export it as CSV in UTF-8")
        if len(line) >= MAX_LINE_CHARS:
            raise InputError(f"{path}: has a line of over {MAX_LINE_CHARS} characters, so it is not a text table")
        yield line


def _refuse_twice(where: str, header: Iterable[str], loose: bool) -> None:
    """Refuse two columns of the same name, one of which would be lost; loosely, only if it matters which."""
    known = {name for names in COLUMNS.values() for name in names}
    for name, count in Counter(header).items():
        if name and count > 1 and (not loose or name.strip().lower() in known):
            raise InputError(f"{where}: column {name!r} appears twice; keep one")


def _delimiter(path: Path, header: str) -> str:
    """The separator that is most frequent in the header; in a .tsv a tab, if there is one, since names may contain commas."""
    if path.suffix.lower() in (".tsv", ".tab") and "\t" in header:
        return "\t"
    return max(",\t;", key=header.count)


def _json_rows(path: Path, skip: int) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = list(read_json_lines(path))
    yield "", dict.fromkeys((k for _, row in rows for k in row), "")
    for where, row in rows[skip:]:
        yield where, {k: v if isinstance(v, (dict, list)) else "" if v is None else str(v) for k, v in row.items()}


def _parquet_rows(path: Path, loose: bool, skip: int) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa  # late: most tables are text
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _refuse_twice(str(path), schema.names, loose)
            yield "", dict.fromkeys(schema.names, "")
            plain = [field.name for field in schema if not (pa.types.is_nested(field.type) or _is_bytes(field.type))]
            for number, row in parquet_values(file, plain, skip, batch_rows=1024):
                yield f"{path}: row {number + 1}", {k: "" if v is None else str(v) for k, v in row.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as parquet ({' '.join(str(error).split())[:100]})") from None


def parquet_values(file: Any, columns: list[str], skip: int, batch_rows: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of an open parquet file, each with its number from 0; groups of rows that are passed over are not read.

    Args:
        file: The file, a `pyarrow.parquet.ParquetFile`.
        columns: Which columns to read.
        skip: How many rows to pass over.
        batch_rows: How many rows to have in memory at once.
    """
    number = 0
    for batch in parquet_batches(file, columns, batch_rows, skip):
        yield from enumerate(batch.to_pylist(), start=skip + number)
        number += batch.num_rows


def parquet_batches(file: Any, columns: list[str] | None, batch_rows: int, skip: int = 0) -> Iterator[Any]:
    """An open parquet file's rows as record batches; groups of rows that are passed over are not read.

    Args:
        file: The file, a `pyarrow.parquet.ParquetFile`.
        columns: Which columns to read; None for all.
        batch_rows: How many rows to have in memory at once.
        skip: How many rows to pass over.
    """
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if skip < rows:
            # One group at a time: told of all of them, pyarrow keeps more of a file the further it has come.
            for batch in file.iter_batches(batch_size=batch_rows, columns=columns, row_groups=[group]):
                if skip < batch.num_rows:
                    yield batch.slice(skip)
                skip = max(0, skip - batch.num_rows)
        else:
            skip -= rows


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a JSON lines file, each with its file and row; blank lines are skipped.

    Raises:
        InputError: a line is not a JSON object; names file and row.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: row {number}: not JSON ({' '.join(str(error).split())[:100]})") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}: row {number}: not a JSON object but {type(row).__name__}")
        yield f"{path}: row {number}", row


def read_text(path: Path) -> str:
    """A text file in UTF-8 (a byte-order mark is dropped).

    Raises:
        InputError: it is missing, a folder, not readable or not UTF-8.
    """
    with _opened(path) as file:
        return _decoded(path, file.read())


def _opened(path: Path) -> BinaryIO:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError(f"{path}: is a device or a pipe, not a file")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
