"""Sources that users bring: a folder or archive of geotagged photos, or a table that names files and positions.

Nothing is lost silently: what can't become a row is quarantined with a reason in the `SourceReport`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

from pydantic import ValidationError

from globe.data.ahead import Begun, in_turn
from globe.data.embedded import EmbeddedPictures, picture_column
from globe.data.entries import Entry, check_table, photo_entries, table_entries
from globe.data.heic import heic_as_png, is_heic
from globe.data.images import MAX_SIDE_PX, OtherPictureError, TooManyPixelsError, exif_position, reencode
from globe.data.listing import Listing, Names, listing_of
from globe.data.named import Given, given_path
from globe.data.parts import Part
from globe.data.pictures import MISSING, OTHER_KIND, TOO_LARGE, UNREADABLE, Pictures, is_archive, is_picture, open_pictures
from globe.data.rows import Row, Split, split_of
from globe.data.seen import Repeats
from globe.data.shards import count_rows, read_dataset
from globe.errors import InputError

MAX_CODE_CHARS = 3
"""A country of so few letters is a code."""


@dataclass
class SourceReport:
    """What came of reading a source: how many pictures it has, and the ids of those that can't be used, by reason."""

    read: int = 0
    quarantined: dict[str, list[str]] = field(default_factory=dict)
    listed: int = 0
    """Rows that the source, or its part, lists; those read are fewer where the reading was ended."""
    repeats: list[tuple[str, bytes, Split]] = field(default_factory=list)
    """Id, sha256 of the picture, and split of each row that was refused because it repeats an earlier one (see `Repeats`)."""
    tells_listing: bool = field(default=False, compare=False)
    """Whether `listing` is told: for that all names of a folder have to pass, and a table is read once more."""
    listing: Listing = field(default_factory=dict, compare=False)
    """What decides which rows the source lists, as it was when the last row had been read; empty unless it is told."""

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
    part: Part | None = None,
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
        part: Which of the rows that the source lists; all by default. Parts one after another are the whole, but for rows that
            repeat one of an earlier part. What only a whole table shows is checked without a part, and by `count_listed`.

    Returns:
        Rows in a stable order: file names sorted, or the table's own order.

    Raises:
        InputError: The source can't be read at all: no such path, no picture, no position column, or positions that are wrong
            throughout, such as latitude and longitude swapped.
    """
    given = source if isinstance(source, Given) else given_path(Path(source), images)
    report = report if report is not None else SourceReport()
    if given.is_dataset:
        return _counted(given, read_dataset(given.path, part), report)
    if part is None:
        part = Part(0, count_listed(given))
    if not given.tables:
        photos = _Photos(given)
        names: Iterable[str] = _photo_names(given, photos.pictures)
        if report.tells_listing:
            names = photos.names = Names(names)
        entries = photo_entries(islice(names, part.first, part.end))
        return _rows(photos, entries, part, report, Reading(max_side_px, keep_remote))
    entries = islice(table_entries(given.tables, given.columns, given.content, part.first), part.rows)
    return _rows(_Table(given, part.first), entries, part, report, Reading(max_side_px, keep_remote))


def count_listed(given: Given) -> int:
    """How many rows or photos a source lists, without reading a picture; a table is read once, and checked as a whole.

    Raises:
        InputError: As `read_source`.
    """
    if given.is_dataset:
        return count_rows(given.path)
    if given.tables:
        return check_table(given.tables, given.columns, given.content)
    with closing(open_pictures(given.pictures)) as pictures:
        return sum(1 for _ in _photo_names(given, pictures))


def list_source(given: Given) -> tuple[int, Listing]:
    """How many rows or photos a source lists, as `count_listed`, and what decides which they are."""
    if given.is_dataset or given.tables:
        return count_listed(given), listing_of(given)
    with closing(open_pictures(given.pictures)) as pictures:
        names = Names(_photo_names(given, pictures))
        return sum(1 for _ in names), listing_of(given, names)


def _photo_names(given: Given, pictures: Pictures) -> Iterator[str]:
    """The names of a source's photos, sorted; at least one."""
    names = filter(is_picture, pictures.names())
    first = next(names, None)
    if first is None:
        packed = next((name for name in pictures.names() if is_archive(Path(name))), "")
        raise InputError(
            f"{given.path}: holds no JPEG, PNG, WEBP or HEIC file; give a folder of photos or a table of them"
            + (f". Archives in it are not opened: give {packed} itself" if packed else "")
        )
    return chain([first], names)


def _counted(given: Given, rows: Iterator[Row], report: SourceReport) -> Iterator[Row]:
    for row in rows:
        report.read += 1
        report.listed += 1
        yield row
    if report.tells_listing:
        report.listing = listing_of(given)


class _Photos:
    """Photos without a table: the camera wrote down where they were taken."""

    origin = "exif"

    names: Names | None = None

    def __init__(self, given: Given) -> None:
        self.given = given
        self.pictures = open_pictures(given.pictures)

    def begin(self, number: int, entry: Entry) -> Begun | str:
        return self.pictures.begin(entry.file)

    def position(self, entry: Entry, picture: bytes) -> tuple[float, float] | str:
        return exif_position(picture) or "no_position"


class _Table(_Photos):
    """Photos that a table lists, with their positions."""

    origin = "table"

    def __init__(self, given: Given, first: int) -> None:
        super().__init__(given)
        column = picture_column(given.tables[0]) if given.tables[0].suffix.lower() == ".parquet" else ""
        self.embedded = EmbeddedPictures(given.tables, column, first) if column else None

    def begin(self, number: int, entry: Entry) -> Begun | str:
        return super().begin(number, entry) if self.embedded is None else Begun(partial(self._embedded, self.embedded, number))

    def _embedded(self, embedded: EmbeddedPictures, number: int) -> bytes | str:
        data, name = embedded.read(number)
        return data or (self.pictures.read(name) if name else MISSING)

    def position(self, entry: Entry, picture: bytes) -> tuple[float, float] | str:
        return entry.position


def _rows(photos: _Photos, entries: Iterable[Entry], part: Part, report: SourceReport, reading: Reading) -> Iterator[Row]:
    report.listed = part.rows
    with closing(photos.pictures), closing(Repeats()) as repeats:
        numbered = enumerate(entries, start=part.first)
        for (_, entry), picture in in_turn(numbered, lambda one: _unfit(one[1]) or photos.begin(*one)):
            report.read += 1
            result = picture if isinstance(picture, str) else _row(photos, entry, picture, reading)
            if isinstance(result, str):
                report.refuse(result, entry.id)
                continue
            sha256 = hashlib.sha256(result.image).digest()
            if reason := repeats.reason(result.id, sha256):
                report.refuse(reason, result.id)
                report.repeats.append((result.id, sha256, result.split))
                continue
            yield result
        report.listed = report.read  # of the last part, fewer than asked for
        if report.tells_listing:
            report.listing = listing_of(photos.given, photos.names)


def _unfit(entry: Entry) -> str:
    """Why no picture is worth a look that an entry names; "" if one is."""
    return entry.problem or ("" if split_of(entry.split) else "unknown_split")


def _row(photos: _Photos, entry: Entry, picture: Begun, reading: Reading) -> Row | str:
    """Make one row, or name the reason why there is none."""
    data = picture.read()
    if isinstance(data, str):
        return data
    try:
        if is_heic(data):
            data = heic_as_png(data, reading.max_side_px)
        position = photos.position(entry, data)
        if isinstance(position, str):
            return position
        image = reencode(data, reading.max_side_px)
    except TooManyPixelsError:
        return TOO_LARGE
    except OtherPictureError:
        return OTHER_KIND
    except InputError:
        return UNREADABLE
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
            split=split_of(entry.split),
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
