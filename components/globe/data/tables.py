"""Reads tables (CSV, TSV, JSON lines) and names file, row and reason where one cannot be read."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from globe.errors import InputError

MAX_FIELD_CHARS = 16_000_000


def table_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows as (where it stands, {column: text}); the first has an empty place and tells the columns.

    JSON's numbers become text, None an empty one; its lists and objects stay themselves.

    Raises:
        InputError: the file or a row of it cannot be read; names file and row.
    """
    return _json_rows(path) if path.suffix in (".jsonl", ".ndjson") else _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    text = read_text(path)
    csv.field_size_limit(MAX_FIELD_CHARS)
    header_line = text.partition("\n")[0]
    delimiter = "\t" if path.suffix in (".tsv", ".tab") or ("\t" in header_line and "," not in header_line) else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = [name for name, count in Counter(header).items() if name and count > 1]
        if twice:
            raise InputError(f"{path}: row 1: column {twice[0]!r} stands there twice; keep one")
        yield "", dict.fromkeys(header, "")
        for number, fields in enumerate(reader, start=2):
            if not fields:
                continue
            if len(fields) != len(header):
                raise InputError(
                    f"{path}: row {number}: has {len(fields)} fields, the header {len(header)}; quote fields that hold a comma"
                )
            yield f"{path}: row {number}", dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: row {number + 1}: not CSV ({error})") from None


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = list(read_json_lines(path))
    yield "", dict.fromkeys((k for _, row in rows for k in row), "")
    for where, row in rows:
        yield where, {k: v if isinstance(v, (dict, list)) else "" if v is None else str(v) for k, v in row.items()}


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a JSON lines file with where they stand; blank lines are skipped.

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
            raise InputError(f"{path}: is no file but a device or a pipe")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
