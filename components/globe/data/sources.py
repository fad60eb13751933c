"""Sources that users bring: a folder or archive of geotagged photos, or a table that names files and positions.

Nothing is lost silently: what can't become a row is quarantined with a reason in the `SourceReport`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from globe.data.embedded import EmbeddedPictures, picture_column
from globe.data.entries import Entry, photo_entries, table_entries
from globe.data.images import MAX_SIDE_PX, TooManyPixelsError, exif_position, reencode
from globe.data.named import Given, given_path
from globe.data.pictures import MISSING, TOO_LARGE, UNREADABLE, Pictures, is_picture, open_pictures
from globe.data.rows import Row
from globe.data.shards import read_dataset
from globe.errors import InputError

MAX_CODE_CHARS = 3
"""A country of so few letters is a code."""


@dataclass
class SourceReport:
    """What came of reading a source: how many pictures it has, and the ids of those that can't be used, by reason."""

    read: int = 0
    quarantined: dict[str, list[str]] = field(default_factory=dict)
    listed: int = 0
    """Rows that the source lists; those read are fewer where the reading was ended."""

    def refuse(self, reason: str, row_id: str) -> None:
        """Record that a picture can't be used."""
        self.quarantined.setdefault(reason, []).append(row_id)

    @property
    def refused(self) -> int:
        """Number of pictures that can't be used."""
        return sum(len(ids) for ids in self.quarantined.values())


@dataclass(frozen=True)
class Reading:
    """How pictures become rows."""

    max_side_px: int = MAX_SIDE_PX
    """A picture whose longer side exceeds this is scaled down."""
    keep_remote: bool = False
    """Whether a picture stays that is far from any place, and so has no country's name: it is fit for scoring only."""


def read_source(
    source: Path | Given,
    report: SourceReport | None = None,
    max_side_px: int = MAX_SIDE_PX,
    images: Path | None = None,
    keep_remote: bool = False,
) -> Iterator[Row]:
    """Yield the rows of a source; pictures are re-encoded, so that no camera metadata is passed on.

    Args:
        source: As `globe.data.named.resolve` gives it, or a path: a dataset folder (read as it is), a folder, zip or tar of
            photos with EXIF positions (sub-folders included), or a table (CSV, TSV, parquet) with a file column (image, IMG_ID,
            file, path, ... or id) and latitude and longitude columns; country, city, split, scene and photographer are optional.
            A table's files are relative to it, or in `images/` beside it; a parquet table may hold the pictures itself.
        report: Filled in while the rows are read.
        max_side_px: A picture whose longer side exceeds this is scaled down.
        images: Folder or archive of a table's files, if it isn't the table's own folder.
        keep_remote: Whether to keep pictures far from any place, whose country nobody names.

    Returns:
        Rows in a stable order: file names sorted, or the table's own order.

    Raises:
        InputError: The source can't be read at all: no such path, no picture, no position column, or positions that are wrong
            throughout, such as latitude and longitude swapped.
    """
    given = source if isinstance(source, Given) else given_path(Path(source), images)
    report = report if report is not None else SourceReport()
    if given.is_dataset:
        return _counted(read_dataset(given.path), report)
    reading = Reading(max_side_px, keep_remote)
    pictures = open_pictures(given.pictures)
    if not given.tables:
        names = [name for name in pictures.names() if is_picture(name)]
        if not names:
            raise InputError(f"{given.path}: holds no JPEG, PNG or WEBP file; give a folder of photos or a table of them")
        return _rows(_Photos(pictures), photo_entries(names), report, reading)
    entries = table_entries(given.tables, given.columns, given.content)
    return _rows(_Table(pictures, given), entries, report, reading)


def _counted(rows: Iterator[Row], report: SourceReport) -> Iterator[Row]:
    for row in rows:
        report.read += 1
        yield row


class _Photos:
    """Photos without a table: the camera wrote down where they were taken."""

    origin = "exif"

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def picture(self, number: int, entry: Entry) -> bytes | str:
        return self.pictures.read(entry.file)

    def position(self, entry: Entry, picture: bytes) -> tuple[float, float] | str:
        return exif_position(picture) or "no_position"


class _Table(_Photos):
    """Photos that a table lists, with their positions."""

    origin = "table"

    def __init__(self, pictures: Pictures, given: Given) -> None:
        super().__init__(pictures)
        column = picture_column(given.tables[0]) if given.tables[0].suffix.lower() == ".parquet" else ""
        self.embedded = EmbeddedPictures(given.tables, column) if column else None

    def picture(self, number: int, entry: Entry) -> bytes | str:
        if self.embedded is None:
            return self.pictures.read(entry.file)
        data, name = self.embedded.read(number)
        return data or (self.pictures.read(name) if name else MISSING)

    def position(self, entry: Entry, picture: bytes) -> tuple[float, float] | str:
        return entry.position


def _rows(photos: _Photos, entries: list[Entry], report: SourceReport, reading: Reading) -> Iterator[Row]:
    seen_ids: set[str] = set()
    seen_pictures: set[bytes] = set()
    report.listed = len(entries)
    with closing(photos.pictures):
        for number, entry in enumerate(entries):
            report.read += 1
            result = _row(photos, number, entry, reading, seen_ids, seen_pictures)
            if isinstance(result, str):
                report.refuse(result, entry.id)
            else:
                yield result


def _row(
    photos: _Photos, number: int, entry: Entry, reading: Reading, seen_ids: set[str], seen_pictures: set[bytes]
) -> Row | str:
    """Make one row, or name the reason why there is none."""
    if entry.problem:
        return entry.problem
    if entry.id in seen_ids:
        return "duplicate_id"
    seen_ids.add(entry.id)
    data = photos.picture(number, entry)
    if isinstance(data, str):
        return data
    try:
        position = photos.position(entry, data)
        if isinstance(position, str):
            return position
        image = reencode(data, reading.max_side_px)
    except TooManyPixelsError:
        return TOO_LARGE
    except InputError:
        return UNREADABLE
    # The same pixels under two names could put one picture into both training and test.
    fingerprint = hashlib.sha256(image).digest()
    if fingerprint in seen_pictures:
        return "duplicate_picture"
    seen_pictures.add(fingerprint)
    return _placed_row(entry, image, position, photos.origin, reading)


def _placed_row(entry: Entry, image: bytes, position: tuple[float, float], origin: str, reading: Reading) -> Row | str:
    # Imported late: the gazetteer takes a moment to load, and a dataset folder doesn't need it.
    from globe.geo.borders import is_outside
    from globe.geo.countries import find_country

    if entry.country and is_outside(*position, entry.country):
        return "position_outside_country"
    # Tables such as OSV-5M's have ISO codes, which readers of a report would have to look up.
    land = find_country(entry.country) if len(entry.country) <= MAX_CODE_CHARS else None
    country, city, origins = _names(position, land.name if land else entry.country, entry.city)
    if not country and not reading.keep_remote:
        return "no_country"
    try:
        return Row(
            id=entry.id,
            image=image,
            lat_deg=position[0],
            lon_deg=position[1],
            country=country,
            city=city,
            split="test" if entry.split == "test" else "train",
            provenance={"position": origin, **origins, **entry.origin},
        )
    except ValidationError:
        return "bad_id"


def _names(position: tuple[float, float], country: str, city: str) -> tuple[str, str, dict[str, str]]:
    """Fill in country and city from the nearest place if the source names none."""
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
