"""Turn the photos of a folder or a table into a dataset, reporting progress as they are read."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from globe.data.images import MAX_SIDE_PX
from globe.data.recipe import SourceRecipe
from globe.data.rows import Row
from globe.data.shards import MANIFEST_NAME, count_rows, is_dataset, write_dataset
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError
from globe.files import file_sha256, write_atomically, write_json
from globe.run.events import Reporter
from globe.run.stage import Outcome


def ingest(source: str, recipe: SourceRecipe, folder: Path, reporter: Reporter) -> Outcome:
    """Read photos from a folder or a table into a dataset.

    Args:
        source: The folder or the table.
        recipe: How many to read.
        folder: The stage's folder.
        reporter: Told of the progress.

    Raises:
        InputError: No photo can be used.
    """
    report = SourceReport()
    rows = []
    for row in read_source(Path(source), report, MAX_SIDE_PX):
        rows.append(row)
        reporter.progress(len(rows), recipe.max_photos or None, f"{len(rows)} photos read")
        if len(rows) == recipe.max_photos:
            break
    if not rows:
        raise _no_photo(source, report)
    write_dataset(folder / "data", rows)
    quarantined = {reason: len(ids) for reason, ids in report.quarantined.items()}
    write_json(folder / "quarantined.json", report.quarantined)
    figure = f"{len(rows)} photos" + (f", {sum(quarantined.values())} could not be used" if quarantined else "")
    return Outcome(figure, {"data": str(folder / "data")}, {"pictures": len(rows), "quarantined": quarantined})


def photos_of(source: str, max_photos: int) -> dict[str, object]:
    """What identifies a source's photos, for the address of the dataset made from them: names, sizes and times.

    Raises:
        InputError: There is no such folder or table.
    """
    path = Path(source).resolve()
    if not path.exists():
        raise InputError(f"{source}: no such folder or table")
    folder = path if path.is_dir() else path.parent  # a table's pictures are beside it
    files = sorted(folder.rglob("*"))
    stats = [(str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return {"source": str(path), "max_photos": max_photos, "max_side_px": MAX_SIDE_PX, "files": stats}


def dataset_of(source: Path, target: Path, reporter: Reporter, images: Path | None = None) -> Path:
    """The dataset of a source: itself if it is one, its test set if it is curated, else one made from its photos.

    Args:
        source: Dataset folder, curated folder, folder of geotagged photos, or CSV/TSV table.
        target: Where a new dataset goes; one that was already made there from this same source is reused.
        reporter: Told of the progress, and of photos that could not be used.
        images: Folder of a table's files, if it isn't the table's own.

    Returns:
        The dataset's folder.

    Raises:
        InputError: No photo can be used, or `target` holds the photos of another source.
    """
    for folder in (source, source / "test"):
        if is_dataset(folder):
            return folder
    report = SourceReport()
    rows = read_source(source, report, MAX_SIDE_PX, images)
    origin, now = target.with_name(f"{target.name}.json"), _origin(source, images)
    if origin.is_file() and is_dataset(target):
        if origin.read_text(encoding="utf-8") != now:
            raise InputError(
                f"{target}: holds the photos of a source other than {source}, or that has changed; give another folder"
            )
        return target
    write_dataset(target, _reported(rows, reporter))
    if not count_rows(target):
        (target / MANIFEST_NAME).unlink()
        raise _no_photo(source, report)
    write_atomically(origin, now)
    for reason, ids in report.quarantined.items():
        reporter.note(f"{len(ids)} photos could not be used ({reason}), the first {ids[0]}")
    return target


def _no_photo(source: Path | str, report: SourceReport) -> InputError:
    reasons = "; ".join(f"{len(ids)} {reason}" for reason, ids in report.quarantined.items())
    return InputError(f"{source}: no photo could be used ({reasons or 'none found'})")


def _reported(rows: Iterable[Row], reporter: Reporter) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        reporter.progress(number, None, f"{number} photos read")
        yield row


def _origin(source: Path, images: Path | None) -> str:
    """What identifies a source, as JSON: a table's bytes, or a folder's files with their sizes."""
    if source.is_dir():
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        content: Any = [(str(path.relative_to(source)), path.stat().st_size) for path in files]
    else:
        content = [file_sha256(source), str((images or source.parent).resolve())]
    return json.dumps({"digest": hashlib.sha256(json.dumps(content).encode()).hexdigest()})
