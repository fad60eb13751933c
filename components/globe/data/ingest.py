"""Turn what a source holds into a dataset, once, reporting progress; what cannot be used is counted, shown and limited."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from globe.data.completeness import Completeness, completeness_of, read_completeness, write_completeness
from globe.data.images import MAX_SIDE_PX
from globe.data.named import Given, given_path
from globe.data.pictures import is_picture, is_zip_on_s3
from globe.data.recipe import SourceRecipe
from globe.data.rows import Row
from globe.data.shards import DatasetWriter, dataset_digest, is_dataset
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError
from globe.files import file_sha256, write_atomically, write_json
from globe.run.events import Reporter
from globe.run.stage import Outcome
from globe.storage import state_of


def ingest(given: Given, recipe: SourceRecipe, folder: Path, reporter: Reporter) -> Outcome:
    """Read photos from a folder, an archive or a table into a dataset.

    Args:
        given: The source.
        recipe: How many to read, and how many may be unusable.
        folder: The stage's folder.
        reporter: Told of the progress, and of photos that could not be used.

    Raises:
        InputError: No photo can be used, or more than the recipe allows cannot.
    """
    report = SourceReport()
    record = _write(given, folder / "data", recipe, report, reporter)
    write_json(folder / "quarantined.json", report.quarantined)
    quarantined = {reason: one.n for reason, one in record.unusable.items()}
    lost = record.total - record.usable
    figure = f"{record.usable} photos" + (f", {lost} of {record.total} could not be used" if lost else "")
    figures = {"pictures": record.usable, "quarantined": quarantined, "completeness": asdict(record)}
    return Outcome(figure, {"data": str(folder / "data")}, figures)


def dataset_of(
    source: Path | Given,
    target: Path,
    reporter: Reporter,
    images: Path | None = None,
    max_unusable_percent: float = SourceRecipe().max_unusable_percent,
) -> Path:
    """The dataset of a source: itself if it is one, its test set if it is curated, else one made from its photos.

    Args:
        source: As `globe.data.named.resolve` gives it, or its path.
        target: Where a new dataset goes; one that was already made there from this same source is reused.
        reporter: Told of the progress, and of photos that could not be used.
        images: Folder or archive of a table's files, if it isn't the table's own folder.
        max_unusable_percent: Share of the rows that may be unusable.

    Returns:
        The dataset's folder.

    Raises:
        InputError: No photo can be used, or more than the limit allows cannot, or `target` holds the photos of another source.
    """
    given = source if isinstance(source, Given) else given_path(source, images)
    recipe = SourceRecipe(max_unusable_percent=max_unusable_percent, keep_remote=True)
    if given.is_dataset:
        if record := read_completeness(given.path):
            _tell(record, recipe, given.path, reporter)
        return given.path
    origin, now = target.with_name(f"{target.name}.json"), _origin(given)
    if origin.is_file() and is_dataset(target):
        if origin.read_bytes() != now.encode():
            raise InputError(
                f"{target}: holds the photos of a source other than {given.path}, or that has changed; give another folder"
            )
        if record := read_completeness(target):
            _tell(record, recipe, target, reporter)
        return target
    _write(given, target, recipe, SourceReport(), reporter)
    write_atomically(origin, now)
    return target


def photos_of(given: Given) -> dict[str, object]:
    """What identifies a source's photos, for the address of the dataset made from them: names, sizes and times of its files."""
    places = dict.fromkeys((*(() if given.content else given.tables), *given.pictures))
    known = given.data_set.model_dump(include={"name", "columns", "rows"}) if given.data_set else None
    files = [file for place in places for file in _files_at(place)]
    return {"source": str(given.path.resolve()), "data_set": known, "max_side_px": MAX_SIDE_PX, "files": files}


def identity_of(given: Given) -> str:
    """Digest of what a source holds: changes if its table does, or the name, size or time of one of its pictures' files."""
    if given.is_dataset:
        return dataset_digest(given.path)
    digest = hashlib.sha256(given.content or b"")
    digest.update(json.dumps(sorted(given.columns.items())).encode())
    for table in given.tables if given.content is None else ():
        digest.update(file_sha256(table).encode())
    for place in dict.fromkeys(given.pictures):
        for file in _files_at(place):
            digest.update(json.dumps(file).encode())
    return digest.hexdigest()


def _files_at(place: Path) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of a folder's pictures one by one, in the same order each time; or those of an archive or a table."""
    if is_zip_on_s3(place) or place.is_file():
        yield place.name, *state_of(place)
        return
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if is_picture(name) and path.is_file():
                yield str(path.relative_to(place)), *state_of(path)


def _write(given: Given, target: Path, recipe: SourceRecipe, report: SourceReport, reporter: Reporter) -> Completeness:
    """Write a source's rows and the record of those that are lost; there is no dataset if too many are."""
    rows = read_source(given, report, MAX_SIDE_PX, keep_remote=recipe.keep_remote)
    usable = 0
    with DatasetWriter(target) as writer:
        for row in islice(_reported(rows, recipe.max_photos, reporter), recipe.max_photos or None):
            writer.add(row)
            usable += 1
        if not usable:
            reasons = completeness_of(given.name, report.read, 0, report.quarantined).reasons()
            raise InputError(f"{given.path}: no photo could be used ({reasons or 'none found'})")
        record = counted(given, report, usable)
        _tell(record, recipe, target, reporter, write=True)
    return record


def counted(given: Given, report: SourceReport, usable: int) -> Completeness:
    """What came of reading a source.

    Args:
        given: The source.
        report: Filled in while it was read.
        usable: Rows that it gave.

    Raises:
        InputError: It has more rows than the data set that it is said to be.
    """
    known = given.data_set
    if known is None:
        return completeness_of(given.name, report.read, usable, report.quarantined)
    expected = known.rows if report.read == report.listed else None  # of a part, no number of rows is expected
    return completeness_of(given.name, report.read, usable, report.quarantined, expected, known.source, known.licence)


def _tell(record: Completeness, recipe: SourceRecipe, target: Path, reporter: Reporter, write: bool = False) -> None:
    details = write_completeness(target, record) if write else target
    for note in record.notes():
        reporter.note(note)
    record.check(recipe.max_unusable_percent, details)


def _reported(rows: Iterator[Row], most: int, reporter: Reporter) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        reporter.progress(number, most or None, f"{number} photos read")
        yield row


def _origin(given: Given) -> str:
    """What identifies a source, as JSON: a table's bytes, and the files of its pictures with their sizes and times."""
    table = [file_sha256(path) for path in given.tables] if given.content is None else [hashlib.sha256(given.content).hexdigest()]
    content: Any = [table, photos_of(given)]
    return json.dumps({"digest": hashlib.sha256(json.dumps(content).encode()).hexdigest()})
