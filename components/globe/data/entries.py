"""What a source lists before any picture is read: a folder's photos, or a table's rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from globe.data.embedded import parquet_rows, picture_column
from globe.data.tables import COLUMNS, DEFECT, NOT_UTF8, SURPLUS, find_columns, refuse_two_positions, table_rows, unblanked
from globe.errors import InputError

if TYPE_CHECKING:
    from globe.geo.borders import Placed

FIELDS = ("file", "id", "lat", "lon", "country", "city", "split", "scene", "photographer")
ORIGINS = ("scene", "photographer")
"""Fields of a table that are kept as a row's provenance."""


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


def photo_entries(names: Iterable[str]) -> Iterator[Entry]:
    """Photos without a table."""
    return (Entry(id=name, file=name) for name in names)


def table_entries(
    tables: Sequence[Path], columns: Mapping[str, str], content: bytes | None = None, skip: int = 0
) -> Iterator[Entry]:
    """Read tables' rows as text, as a stream. Only their shape is checked here; values are checked row by row later.

    Args:
        tables: One table, or the parts of one.
        columns: The column of each field, where a data set is known; others are found by their usual names.
        content: The bytes of a table that is no file of its own.
        skip: How many rows to pass over at the beginning.

    Raises:
        InputError: A table cannot be read, lacks a column, or an id has blanks at its ends.
    """
    for table in tables:
        parquet = table.suffix.lower() == ".parquet"
        embedded = picture_column(table) if parquet else ""
        rows = table_rows(table, loose=True, content=content, skip=skip)
        header = [name for name in next(rows)[1] if name != embedded]
        found = _columns(table, header, columns, bool(embedded))
        common = f"{table}: " if len(tables) == 1 else f"{table.parent}/"  # of several parts, each has a first row
        for where, row in rows:
            yield _entry(where, where.removeprefix(common), row, found, bool(embedded))
        skip = max(0, skip - parquet_rows(table)) if parquet else 0


def check_table(tables: Sequence[Path], columns: Mapping[str, str], content: bytes | None = None) -> int:
    """Check what only shows over a whole table, reading it once from its beginning to its end.

    Args:
        tables: As for `table_entries`, like the others.
        columns: See there.
        content: See there.

    Returns:
        How many rows it has.

    Raises:
        InputError: As `table_entries`; or it has no rows, or is wrong as a whole: none is UTF-8, no position is a number,
            latitude and longitude are swapped, or positions are not in the countries that are named with them.
    """
    from globe.geo.borders import check_positions, spread  # late: the gazetteer takes a moment to load

    seen = _Seen()
    placed = spread(seen.placed(table_entries(tables, columns, content)))
    if not seen.rows:
        raise InputError(f"{tables[0]}: has a header but no rows")
    if seen.not_utf8 == seen.rows:
        raise InputError(f"{tables[0]}: not a text file in UTF-8, in any row; export it as CSV in UTF-8")
    seen.refuse_texts(tables[0])
    seen.refuse_swapped(tables[0])
    check_positions(str(tables[0]), placed)
    return seen.rows


def _columns(table: Path, header: Sequence[str], given: Mapping[str, str], embedded: bool) -> dict[str, str]:
    known = {name: column for name, column in given.items() if column in header}
    if not known.keys() >= {"lat", "lon"}:
        refuse_two_positions(table, header)
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
    shape = "wrong_number_of_columns" if SURPLUS in row else "" if file or embedded else "no_file_named"
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
        problem=row.get(DEFECT) or shape,
        origin={name: cells[name] for name in ORIGINS if cells.get(name)},
    )


def number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text or "") if "_" not in (text or "") else math.nan  # Python reads "4_8" as 48
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class _Seen:
    """What a pass over a table has seen."""

    def __init__(self) -> None:
        self.rows = self.not_utf8 = 0
        self._known = self._beyond = 0
        self._fit = True
        self._text: Entry | None = None
        """The first one whose position is there, and no number."""

    def placed(self, entries: Iterable[Entry]) -> Iterator[Placed]:
        """Look at each entry; those whose position and country can be compared are handed on."""
        from globe.geo.borders import Placed

        for entry in entries:
            self.rows += 1
            self.not_utf8 += entry.problem == NOT_UTF8
            lat, lon = number(entry.lat), number(entry.lon)
            if lat is None or lon is None:
                if entry.lat and entry.lon and not entry.problem:
                    self._text = self._text or entry
                continue
            self._known += 1
            fits = abs(lat) <= 180 and abs(lon) <= 90
            self._fit &= fits
            self._beyond += fits and abs(lat) > 90
            if entry.country and not isinstance(entry.position, str):
                yield Placed(f"{entry.where}, id {entry.id!r}", *entry.position, entry.country)

    def refuse_texts(self, path: Path) -> None:
        """Stop if the table has positions, of which none is a number: in degrees and minutes, with decimal commas or grouped."""
        if self._text and not self._known:
            raise InputError(
                f"{path}: {self._text.where}: {self._text.lat!r}, {self._text.lon!r} is no position, nor has any other row one; "
                "write latitude and longitude as decimal degrees with a point, such as 48.8566 and -2.3522"
            )

    def refuse_swapped(self, path: Path) -> None:
        """Stop if latitude and longitude are evidently swapped: some latitudes are beyond 90, and all values fit when swapped.

        A single typing error is quarantined later; a tenth of the rows means that the table itself is wrong.
        """
        if self._beyond and self._fit and self._beyond >= max(2, self._known / 10):
            raise InputError(
                f"{path}: {self._beyond} of {self._known} latitudes lie beyond 90 degrees and would fit as longitudes; "
                "the two columns look swapped, rename them"
            )
