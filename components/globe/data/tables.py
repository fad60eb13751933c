"""Read tables (CSV, TSV, JSON lines, parquet) whatever their columns are called; errors name the file and the row."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
SURPLUS = "(fields without a column)"
"""Column in which a loosely read row keeps the fields for which the header has no name."""


def find_columns(header: Iterable[str], fields: Iterable[str]) -> dict[str, str]:
    """The column of each field, by the names in `COLUMNS`; fields without a column are left out."""
    names: dict[str, str] = {}
    for column in header:
        names.setdefault(column.strip().lower(), column)
    found = {field: next((names[name] for name in COLUMNS[field] if name in names), None) for field in fields}
    return {field: column for field, column in found.items() if column is not None}


def table_rows(path: Path, *, loose: bool = False, content: bytes | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows as (file and row, {column: text}); the first one names no row and only lists the columns.

    In JSON and parquet, numbers become text and null becomes an empty text; lists and objects stay as they are. A parquet table's
    columns of bytes and of structures, such as embedded pictures, are named but not read.

    Args:
        path: The table.
        loose: Let the caller judge rows of a CSV file that have too few or too many fields: missing fields are empty, extra ones
            are kept in `SURPLUS`, and so are the rows that an unclosed quotation mark swallows, in a row for each. Otherwise such
            rows are refused. Two columns of the same name are refused too, but here only those that `COLUMNS` knows.
        content: A CSV's bytes where they are no file, as of a table in an archive; the path is its name in messages.

    Raises:
        InputError: The file or a row of it cannot be read; names file and row.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_rows(path, loose)
    return _json_rows(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(path, loose, content)


def unblanked(where: str, column: str, text: str) -> str:
    """An id as it is written: rows are found by it, so blanks at its ends, which nobody sees, are no part of it.

    Raises:
        InputError: It has some; names the row.
    """
    if text != text.strip():
        raise InputError(f"{where}: {column} {text[:60]!r} has blanks at its ends; remove them")
    return text


def _csv_rows(path: Path, loose: bool, content: bytes | None) -> Iterator[tuple[str, dict[str, str]]]:
    text = read_text(path) if content is None else _decoded(path, content)
    if loose and "\0" in text:
        raise InputError(f"{path}: holds NUL bytes, so it is not a text table; export it as CSV in UTF-8")
    csv.field_size_limit(MAX_LOOSE_FIELD_CHARS if loose else MAX_FIELD_CHARS)  # applies to the whole process
    # A line break inside a quoted field belongs to it, so the reader gets the whole text and not single lines.
    delimiter = _delimiter(path, text)
    lines: list[str] = []
    reader = csv.reader(_kept(io.StringIO(text, newline=""), lines), delimiter=delimiter, strict=not loose)
    number = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        _refuse_twice(f"{path}: row 1", header, loose)
        yield "", dict.fromkeys(header, "")
        lines.clear()
        for number, fields in enumerate(reader, start=2):
            of_row, lines[:] = lines[:], []
            if not fields:
                continue
            if len(fields) != len(header) and not loose:
                raise InputError(
                    f"{path}: row {number}: has {len(fields)} fields, the header {len(header)}; quote fields that hold a comma"
                )
            row = dict.fromkeys(header, "") | dict(zip(header, fields, strict=False))
            if len(fields) > len(header):
                row[SURPLUS] = ",".join(fields[len(header) :])
            swallowed = of_row[1:] if loose and not _is_csv(of_row, delimiter) else []
            if swallowed:  # by a quotation mark that nothing closes: each is a row that is lost
                row[SURPLUS] = "".join(swallowed)
            yield from [(f"{path}: row {number}", row)] * (1 + len(swallowed))
    except csv.Error as error:
        raise InputError(f"{path}: row {number + 1}: not CSV ({error})") from None


def _kept(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    """The lines, each of which is also kept."""
    for line in lines:
        kept.append(line)
        yield line


def _is_csv(lines: Sequence[str], delimiter: str) -> bool:
    """Whether several lines are a row by the rules of CSV; a single one needs no look."""
    try:
        return len(lines) < 2 or bool(list(csv.reader(lines, delimiter=delimiter, strict=True)))
    except csv.Error:
        return False


def _refuse_twice(where: str, header: Iterable[str], loose: bool) -> None:
    """Refuse two columns of the same name, one of which would be lost; loosely, only if it matters which."""
    known = {name for names in COLUMNS.values() for name in names}
    for name, count in Counter(header).items():
        if name and count > 1 and (not loose or name.strip().lower() in known):
            raise InputError(f"{where}: column {name!r} appears twice; keep one")


def _delimiter(path: Path, text: str) -> str:
    """The separator that is most frequent in the header; in a .tsv a tab, if there is one, since names may contain commas."""
    header = text.partition("\n")[0]
    if path.suffix.lower() in (".tsv", ".tab") and "\t" in header:
        return "\t"
    return max(",\t;", key=header.count)


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = list(read_json_lines(path))
    yield "", dict.fromkeys((k for _, row in rows for k in row), "")
    for where, row in rows:
        yield where, {k: v if isinstance(v, (dict, list)) else "" if v is None else str(v) for k, v in row.items()}


def _parquet_rows(path: Path, loose: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa  # late: most tables are text
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _refuse_twice(str(path), schema.names, loose)
            yield "", dict.fromkeys(schema.names, "")
            plain = [field.name for field in schema if not (pa.types.is_nested(field.type) or _is_bytes(field.type))]
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=plain):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", {k: "" if v is None else str(v) for k, v in row.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as parquet ({str(error)[:100]})") from None


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
            raise InputError(f"{path}: row {number}: not JSON ({str(error)[:100]})") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}: row {number}: not a JSON object but {type(row).__name__}")
        yield f"{path}: row {number}", row


def read_text(path: Path) -> str:
    """A text file in UTF-8 (a byte-order mark is dropped).

    Raises:
        InputError: it is missing, a folder, not readable or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError(f"{path}: is a device or a pipe, not a file")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return _decoded(path, content)


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
