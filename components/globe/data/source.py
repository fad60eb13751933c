"""Stage source: the pictures that everything starts from, as one dataset with the true places."""

from functools import partial
from pathlib import Path

from globe.data.ingest import ingest, photos_of
from globe.data.named import resolve
from globe.data.recipe import SourceRecipe
from globe.data.shards import MANIFEST_NAME, count_rows, dataset_digest
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.storage import portable

TOY = "toy"
"""Name of the generated world: real cities, drawn pictures."""


def source(*, source: str, recipe: SourceRecipe, store: Path) -> StageResult:
    """Draw the toy world, or read photos from a folder or a table.

    Args:
        source: "toy"; NAME or NAME@PLACE of a known data set; or a path or s3:// address: a folder, zip or tar of geotagged
            photos, a CSV, TSV or parquet table with positions, a dataset, or a curated folder, whose test set is then used.
        recipe: How many pictures to draw or to read, and how many may be lost.
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

    if source == TOY:
        settings: dict[str, object] = {"source": source, "pictures": recipe.toy_pictures, "seed": recipe.seed}
        return run_stage("source", store=store, inputs={}, settings=settings, code=(__name__, "globe.demo.world"), work=draw)
    given = resolve(source)

    def adopt(folder: Path, reporter: Reporter) -> Outcome:
        data = str(given.path.resolve())
        rows = count_rows(given.path)
        kept = {"data": [MANIFEST_NAME]}
        return Outcome(f"given: {rows} rows", {"data": data}, {"pictures": rows}, show=data, given=kept)

    if given.is_dataset:
        settings = {"source": portable(given.path.resolve(), store), "digest": dataset_digest(given.path)}
        return run_stage("source", store=store, inputs={}, settings=settings, code=(), work=adopt)
    limits = recipe.model_dump(include={"max_photos", "max_unusable_percent", "keep_remote"})
    work = partial(ingest, given, recipe)
    return run_stage(
        "source", store=store, inputs={}, settings=photos_of(given) | limits, code=(__name__, "globe.data.ingest"), work=work
    )
