"""Stage source: the pictures that everything starts from, as one dataset with their truth."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from globe.data.recipe import SourceRecipe
from globe.data.rows import Row
from globe.data.shards import MANIFEST_NAME, count_rows, dataset_digest, is_dataset, write_dataset
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError
from globe.events import Reporter
from globe.files import file_sha256, write_atomically
from globe.stage import Outcome, StageResult, run_stage, write_json
from globe.storage import portable

TOY = "toy"
"""Name of the generated world: real cities, drawn pictures."""
MAX_SIDE_PX = 1536
"""Photos are stored no larger: above a million pixels the models scale them down anyway."""


def source(*, source: str, recipe: SourceRecipe, store: Path) -> StageResult:
    """Draw the toy world, or read photos from a folder or a table.

    Args:
        source: "toy", a folder of geotagged photos, a CSV/TSV with positions, or a dataset's folder, or a
            curated one's: then its test set.
        recipe: How many pictures to draw or to read.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `data` is the dataset's folder.
    """

    def draw(folder: Path, reporter: Reporter) -> Outcome:
        from globe.demo.world import write_world

        pictures = recipe.toy_pictures
        reporter.note(f"drawing {pictures} pictures")
        write_world(folder / "data", pictures=pictures, seed=recipe.seed)
        return Outcome(f"{pictures} pictures of a toy world", {"data": str(folder / "data")}, {"pictures": pictures})

    def adopt(folder: Path, reporter: Reporter) -> Outcome:
        rows = count_rows(given)
        return Outcome(f"given: {rows} rows", {"data": str(given)}, {"pictures": rows}, show=str(given))

    def ingest(folder: Path, reporter: Reporter) -> Outcome:
        report = SourceReport()
        rows = []
        for row in read_source(Path(source), report, MAX_SIDE_PX):
            rows.append(row)
            reporter.progress(len(rows), recipe.max_photos or None, f"{len(rows)} photos read")
            if len(rows) == recipe.max_photos:
                break
        if not rows:
            reasons = "; ".join(f"{len(ids)} {reason}" for reason, ids in report.quarantined.items())
            raise InputError(f"{source}: no photo could be used ({reasons or 'none found'})")
        write_dataset(folder / "data", rows)
        quarantined = {reason: len(ids) for reason, ids in report.quarantined.items()}
        write_json(folder / "quarantined.json", report.quarantined)
        figure = f"{len(rows)} photos" + (f", {sum(quarantined.values())} could not be used" if quarantined else "")
        return Outcome(figure, {"data": str(folder / "data")}, {"pictures": len(rows), "quarantined": quarantined})

    given = Path(source).resolve()
    given = given / "test" if is_dataset(given / "test") else given
    if source != TOY and is_dataset(given):
        settings: dict[str, object] = {"source": portable(given, store), "digest": dataset_digest(given)}
        return run_stage("source", store=store, inputs={}, settings=settings, code=(), work=adopt)
    toy = source == TOY
    if toy:
        settings = {"source": source, "pictures": recipe.toy_pictures, "seed": recipe.seed}
    else:
        settings = _photos(source, recipe.max_photos)
    code = ("curation/ingest", "data", "demo" if toy else "geo")
    return run_stage("source", store=store, inputs={}, settings=settings, code=code, work=draw if toy else ingest)


def dataset_of(source: Path, target: Path, reporter: Reporter, images: Path | None = None) -> Path:
    """The dataset of a source: itself if it is one, its test set if it is curated, else written to `target` from its photos.

    Args:
        source: Dataset folder, curated folder, folder of geotagged photos, or CSV/TSV table.
        target: Where a new dataset goes; one that is there already from this very source is taken.
        reporter: Told how far reading is, and what could not be used.
        images: Folder of a table's files, if it isn't the table's own.

    Returns:
        The dataset's folder.

    Raises:
        InputError: No photo can be used, or `target` holds those of another source.
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
                f"{target}: holds the photos of another source than {source}, or it has changed; give another folder"
            )
        return target
    write_dataset(target, _told(rows, reporter))
    if not count_rows(target):
        reasons = "; ".join(f"{len(ids)} {reason}" for reason, ids in report.quarantined.items())
        (target / MANIFEST_NAME).unlink()
        raise InputError(f"{source}: no photo could be used ({reasons or 'none found'})")
    write_atomically(origin, now)
    for reason, ids in report.quarantined.items():
        reporter.note(f"{len(ids)} photos could not be used ({reason}), the first {ids[0]}")
    return target


def _told(rows: Iterable[Row], reporter: Reporter) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        reporter.progress(number, None, f"{number} photos read")
        yield row


def _origin(source: Path, images: Path | None) -> str:
    """What tells a source from another, as JSON: a table's bytes, a folder's files with their sizes."""
    if source.is_dir():
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        content: Any = [(str(path.relative_to(source)), path.stat().st_size) for path in files]
    else:
        content = [file_sha256(source), str((images or source.parent).resolve())]
    return json.dumps({"digest": hashlib.sha256(json.dumps(content).encode()).hexdigest()})


def _photos(source: str, max_photos: int) -> dict[str, object]:
    path = Path(source).resolve()
    if not path.exists():
        raise InputError(f"{source}: no such folder or table")
    folder = path if path.is_dir() else path.parent  # a table's pictures lie beside it
    files = sorted(folder.rglob("*"))
    stats = [(str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return {"source": str(path), "max_photos": max_photos, "max_side_px": MAX_SIDE_PX, "files": stats}
