"""Sources that users bring: a folder of geotagged photos, or a table that names files and positions.

Nothing is lost silently: what can't become a row is quarantined with a reason in the `SourceReport`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from globe.data.images import MAX_SIDE_PX, exif_position, reencode
from globe.data.rows import Row
from globe.data.shards import fetch_dataset, is_dataset, read_dataset
from globe.data.tables import COLUMNS, SURPLUS, find_columns, table_rows
from globe.errors import InputError
from globe.storage import address_of, fetch

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
# Suffixes of pictures that are refused: listed so that a folder full of them is reported and not called empty.
REFUSED_SUFFIXES = frozenset({".gif", ".tif", ".tiff", ".svg", ".bmp", ".heic", ".heif", ".avif", ".dng", ".cr2", ".nef"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})


@dataclass
class SourceReport:
    """What came of reading a source: how many pictures it has, and the ids of those that can't be used, by reason."""

    read: int = 0
    quarantined: dict[str, list[str]] = field(default_factory=dict)

    def refuse(self, reason: str, row_id: str) -> None:
        """Record that a picture can't be used."""
        self.quarantined.setdefault(reason, []).append(row_id)

    @property
    def refused(self) -> int:
        """Number of pictures that can't be used."""
        return sum(len(ids) for ids in self.quarantined.values())


@dataclass(frozen=True)
class _Entry:
    """One picture of a source, before any checks."""

    id: str
    file: str
    lat: str | None = None
    lon: str | None = None
    country: str = ""
    city: str = ""
    split: str = ""
    problem: str = ""


def fetch_source(source: str) -> str:
    """Download a source from S3: photos, a table with the pictures beside it, or a dataset (see `fetch_dataset`).

    Args:
        source: Its `s3://` URI; anything else, such as a path or the name of a generated world, is returned as it is.

    Returns:
        Its path on this machine.

    Raises:
        InputError: Nothing is there, or it cannot be reached.
    """
    here = fetch_dataset(source)
    if address_of(source) and Path(here).is_file():
        fetch(source.rpartition("/")[0], _pictures)
    return here


def _pictures(names: Collection[str]) -> list[str]:
    return [name for name in names if PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES]


def read_source(
    path: Path,
    report: SourceReport | None = None,
    max_side_px: int = MAX_SIDE_PX,
    images: Path | None = None,
) -> Iterator[Row]:
    """Yield the rows of a source; pictures are re-encoded, so that no camera metadata is passed on.

    Args:
        path: A dataset folder (read as it is), a folder of photos with EXIF positions (sub-folders included), or a
            CSV/TSV table with a file column (image, IMG_ID, file, path, ... or id) and latitude and longitude columns;
            country, city and split columns are optional. A table's files are relative to it, or in `images/` beside it.
        report: Filled in while the rows are read.
        max_side_px: A picture whose longer side exceeds this is scaled down.
        images: Folder of a table's files, if it isn't the table's own.

    Returns:
        Rows in a stable order: file names sorted, or the table's own order.

    Raises:
        InputError: The source can't be read at all: no such path, no picture, no position column, or latitude and
            longitude swapped throughout.
    """
    path = Path(path)
    report = report if report is not None else SourceReport()
    if not path.exists():
        raise InputError(f"{path}: no such source; give a folder of photos, a CSV or TSV table, or a dataset folder")
    if path.is_dir() and is_dataset(path):
        return _counted(read_dataset(path), report)
    if path.is_dir():
        return _rows(path, _folder_entries(path), report, max_side_px, _from_exif)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise InputError(f"{path}: a source is a folder of photos, a .csv or .tsv table, or a dataset folder")
    if images is not None and not Path(images).is_dir():
        raise InputError(f"{images}: no such folder; give the folder that holds the pictures of {path}")
    return _rows(Path(images or path.parent), _table_entries(path), report, max_side_px, _from_table)


def _counted(rows: Iterator[Row], report: SourceReport) -> Iterator[Row]:
    for row in rows:
        report.read += 1
        yield row


def _folder_entries(folder: Path) -> list[_Entry]:
    entries = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in PICTURE_SUFFIXES | REFUSED_SUFFIXES and not path.is_dir():
            entries.append(_Entry(id=name, file=name))
    if not entries:
        raise InputError(f"{folder}: holds no JPEG, PNG or WEBP file; give a folder of photos or a table of them")
    return entries


def _table_entries(path: Path) -> list[_Entry]:
    """Read a table's rows as text. Only its shape is checked here; values are checked row by row later."""
    rows = table_rows(path, loose=True)
    header = next(rows)[1]
    columns = find_columns(header, ("file", "id", "lat", "lon", "country", "city", "split"))
    missing = [field for field in ("file", "lat", "lon") if field not in columns]
    if missing:
        wanted = "; ".join(f"{field}: one of {', '.join(COLUMNS[field])}" for field in missing)
        raise InputError(f"{path}: the first line lacks a column ({wanted}); has: {', '.join(header) or 'nothing'}")
    entries = [_entry(where.removeprefix(f"{path}: "), row, columns) for where, row in rows]
    if not entries:
        raise InputError(f"{path}: has a header but no rows")
    _refuse_swapped(path, entries)
    return entries


def _entry(where: str, row: Mapping[str, str], columns: Mapping[str, str]) -> _Entry:
    cells = {field: row[column].strip() for field, column in columns.items()}
    file = cells["file"]
    # A comma inside an unquoted name shifts every column after it.
    problem = "wrong_number_of_columns" if SURPLUS in row else "" if file else "no_file_named"
    return _Entry(
        id=cells.get("id") or file or where,
        file=file,
        lat=cells["lat"],
        lon=cells["lon"],
        country=cells.get("country", ""),
        city=cells.get("city", ""),
        split=cells.get("split", "").lower(),
        problem=problem,
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refuse_swapped(path: Path, entries: list[_Entry]) -> None:
    """Stop if latitude and longitude are evidently swapped: some latitudes are beyond 90, and all values fit when swapped.

    A single typing error is quarantined later; a tenth of the rows means that the table itself is wrong.
    """
    pairs = [(_number(entry.lat), _number(entry.lon)) for entry in entries]
    known = [(lat, lon) for lat, lon in pairs if lat is not None and lon is not None]
    beyond = [lat for lat, lon in known if abs(lat) > 90 and abs(lat) <= 180 and abs(lon) <= 90]
    fits = all(abs(lat) <= 180 and abs(lon) <= 90 for lat, lon in known)
    if beyond and fits and len(beyond) >= max(2, len(known) / 10):
        raise InputError(
            f"{path}: {len(beyond)} of {len(known)} latitudes lie beyond 90 degrees and would fit as longitudes; "
            "the two columns look swapped, rename them"
        )


Position = tuple[float, float]


def _from_exif(entry: _Entry, file: Path) -> Position | str:
    return exif_position(file) or "no_position"


def _from_table(entry: _Entry, file: Path) -> Position | str:
    if not entry.lat or not entry.lon:
        return "no_position"
    lat, lon = _number(entry.lat), _number(entry.lon)
    if lat is None or lon is None:
        return "position_not_a_number"
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        return "position_out_of_range"
    return (lat, lon) if (lat, lon) != (0.0, 0.0) else "position_is_null_island"


def _rows(
    base: Path,
    entries: list[_Entry],
    report: SourceReport,
    max_side_px: int,
    locate: Callable[[_Entry, Path], Position | str],
) -> Iterator[Row]:
    seen_ids: set[str] = set()
    seen_pictures: set[bytes] = set()
    for entry in entries:
        report.read += 1
        result = _row(base, entry, max_side_px, locate, seen_ids, seen_pictures)
        if isinstance(result, str):
            report.refuse(result, entry.id)
        else:
            yield result


def _row(
    base: Path,
    entry: _Entry,
    max_side_px: int,
    locate: Callable[[_Entry, Path], Position | str],
    seen_ids: set[str],
    seen_pictures: set[bytes],
) -> Row | str:
    """Make one row, or name the reason why there is none."""
    if entry.problem:
        return entry.problem
    if entry.id in seen_ids:
        return "duplicate_id"
    seen_ids.add(entry.id)
    file = _inside(base, entry.file)
    if isinstance(file, str):
        return file
    try:
        position = locate(entry, file)
        if isinstance(position, str):
            return position
        image = reencode(file, max_side_px)
    except InputError:
        return "picture_not_readable"
    # The same pixels under two names could put one picture into both training and test.
    fingerprint = hashlib.sha256(image).digest()
    if fingerprint in seen_pictures:
        return "duplicate_picture"
    seen_pictures.add(fingerprint)
    country, city, origin = _names(position, entry.country, entry.city)
    if not country:
        return "no_country"
    where = "exif" if locate is _from_exif else "table"
    try:
        return Row(
            id=entry.id,
            image=image,
            lat_deg=position[0],
            lon_deg=position[1],
            country=country,
            city=city,
            split="test" if entry.split == "test" else "train",
            provenance={"position": where, **origin},
        )
    except ValidationError:
        return "bad_id"


def _inside(base: Path, name: str) -> Path | str:
    """Find a file that a source names, or say why it can't be used; files outside the source's folder are refused, links too."""
    root = base.resolve()
    try:
        given = Path(name)
        candidates = [given, Path("images") / given]
        if not given.suffix:
            # MP-16's tables name pictures without a suffix.
            candidates += [path.with_name(path.name + ".jpg") for path in list(candidates)]
        paths = [(root / path).resolve() for path in candidates]
        if given.is_absolute() or not all(path.is_relative_to(root) for path in paths):
            return "file_outside_source"
        return next((path for path in paths if path.is_file()), "file_missing")
    except (OSError, ValueError, RuntimeError):
        return "bad_file_name"  # too long, a NUL byte, a circle of links


def _names(position: Position, country: str, city: str) -> tuple[str, str, dict[str, str]]:
    """Fill in country and city from the nearest place if the source names none."""
    # Imported late: the gazetteer takes a moment to load, and a dataset folder doesn't need it.
    from globe.geo.countries import same_country
    from globe.geo.nearest import nearest_city

    if country and city:
        return country, city, {"country": "table", "city": "table"}
    nearest = nearest_city(*position)
    near_country, near_city = nearest.country or "", nearest.city or ""  # both None far from any place
    if not country:
        origin = {"country": "gazetteer", "city": "table" if city else "gazetteer"}
        return near_country, city or near_city, origin
    # If the named country isn't the nearest place's, no city is filled in: near a border either may be wrong.
    fill = near_city if same_country(country, near_country) else ""
    return country, fill, {"country": "table", "city": "gazetteer"} if fill else {"country": "table"}
