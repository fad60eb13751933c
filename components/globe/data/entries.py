"""What a source lists before any picture is read: a folder's photos, or a table's rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from globe.data.embedded import picture_column
from globe.data.tables import COLUMNS, SURPLUS, find_columns, table_rows, unblanked
from globe.errors import InputError

FIELDS = ("file", "id", "lat", "lon", "country", "city", "split", "scene", "photographer")
ORIGINS = ("scene", "photographer")
"""Fields of a table that are kept as a row's provenance."""
JUDGED_ROWS = 2000
"""So many rows, evenly spread, show whether a table is wrong as a whole; each one is judged again when it is read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a source, before any checks."""

    id: str
    file: str
    where: str = ""
    lat: str | None = None
    lon: str | None = None
    country: str = ""
    city: str = ""
    split: str = ""
    problem: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Scene and photographer, where the table has them."""

    @property
    def position(self) -> tuple[float, float] | str:
        """Latitude and longitude in degrees, or the reason why the table has none that can be used."""
        if not self.lat or not self.lon:
            return "no_position"
        lat, lon = number(self.lat), number(self.lon)
        if lat is None or lon is None:
            return "position_not_a_number"
        if not (-90 <= lat <= 90 and -180 <= lon <= 180):
            return "position_out_of_range"
        return (lat, lon) if (lat, lon) != (0.0, 0.0) else "position_is_null_island"


def photo_entries(names: Iterable[str]) -> list[Entry]:
    """A folder's photos, in the order of their names."""
    return [Entry(id=name, file=name) for name in sorted(names)]


def table_entries(tables: Sequence[Path], columns: Mapping[str, str], content: bytes | None = None) -> list[Entry]:
    """Read tables' rows as text. Only their shape is checked here; values are checked row by row later.

    Args:
        tables: One table, or the parts of one.
        columns: The column of each field, where a data set is known; others are found by their usual names.
        content: The bytes of a table that is no file of its own.

    Raises:
        InputError: A table cannot be read, lacks a column, has no rows, or an id has blanks at its ends; or it is wrong as a
            whole: latitude and longitude are swapped, or positions are not in the countries that are named with them.
    """
    entries: list[Entry] = []
    for table in tables:
        embedded = picture_column(table) if table.suffix.lower() == ".parquet" else ""
        rows = table_rows(table, loose=True, content=content)
        header = [name for name in next(rows)[1] if name != embedded]
        found = _columns(table, header, columns, bool(embedded))
        entries += [_entry(where, where.removeprefix(f"{table}: "), row, found, bool(embedded)) for where, row in rows]
    if not entries:
        raise InputError(f"{tables[0]}: has a header but no rows")
    _refuse_swapped(tables[0], entries)
    _refuse_misplaced(tables[0], entries)
    return entries


def _columns(table: Path, header: Sequence[str], given: Mapping[str, str], embedded: bool) -> dict[str, str]:
    known = {name: column for name, column in given.items() if column in header}
    columns = find_columns(header, FIELDS) | known
    missing = [name for name in ("file", "lat", "lon") if name not in columns and not (name == "file" and embedded)]
    if missing:
        wanted = "; ".join(f"{name}: one of {', '.join(COLUMNS[name])}" for name in missing)
        raise InputError(f"{table}: the first line lacks a column ({wanted}); has: {', '.join(header) or 'nothing'}")
    return columns


def _entry(where: str, label: str, row: Mapping[str, str], columns: Mapping[str, str], embedded: bool) -> Entry:
    written = {name: row[column] for name, column in columns.items() if column in row}
    cells = {name: text.strip() for name, text in written.items()}
    file = cells.get("file", "")
    # A comma inside an unquoted name shifts every column after it.
    problem = "wrong_number_of_columns" if SURPLUS in row else "" if file or embedded else "no_file_named"
    name = "id" if cells.get("id") else "file"
    return Entry(
        id=unblanked(where, columns.get(name, name), written.get(name, "")) or label,
        file=file,
        where=label,
        lat=cells.get("lat"),
        lon=cells.get("lon"),
        country=cells.get("country", ""),
        city=cells.get("city", ""),
        split=cells.get("split", "").lower(),
        problem=problem,
        origin={name: cells[name] for name in ORIGINS if cells.get(name)},
    )


def number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text or "") if "_" not in (text or "") else math.nan  # Python reads "4_8" as 48
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refuse_swapped(path: Path, entries: list[Entry]) -> None:
    """Stop if latitude and longitude are evidently swapped: some latitudes are beyond 90, and all values fit when swapped.

    A single typing error is quarantined later; a tenth of the rows means that the table itself is wrong.
    """
    pairs = [(number(entry.lat), number(entry.lon)) for entry in entries]
    known = [(lat, lon) for lat, lon in pairs if lat is not None and lon is not None]
    beyond = [lat for lat, lon in known if abs(lat) > 90 and abs(lat) <= 180 and abs(lon) <= 90]
    fits = all(abs(lat) <= 180 and abs(lon) <= 90 for lat, lon in known)
    if beyond and fits and len(beyond) >= max(2, len(known) / 10):
        raise InputError(
            f"{path}: {len(beyond)} of {len(known)} latitudes lie beyond 90 degrees and would fit as longitudes; "
            "the two columns look swapped, rename them"
        )


def _refuse_misplaced(path: Path, entries: list[Entry]) -> None:
    """Stop if positions are not in the countries that are named with them."""
    from globe.geo.borders import Placed, check_positions  # late: the gazetteer takes a moment to load

    named = [entry for entry in entries if entry.country]
    step = -(-len(named) // JUDGED_ROWS) or 1
    rows = [
        Placed(f"{entry.where}, id {entry.id!r}", *entry.position, entry.country)
        for entry in named[::step]
        if not isinstance(entry.position, str)
    ]
    check_positions(str(path), rows)
