"""Stage source: the pictures that everything starts from, as one dataset with the true places."""

from functools import partial
from pathlib import Path

from globe.data.ingest import ingest, photos_of
from globe.data.recipe import SourceRecipe
from globe.data.shards import count_rows, dataset_digest, is_dataset
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.storage import portable

TOY = "toy"
"""Name of the generated world: real cities, drawn pictures."""


def source(*, source: str, recipe: SourceRecipe, store: Path) -> StageResult:
    """Draw the toy world, or read photos from a folder or a table.

    Args:
        source: "toy", a folder of geotagged photos, a CSV/TSV with positions, a dataset's folder, or a curated folder,
            whose test set is then used.
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

    given = Path(source).resolve()
    given = given / "test" if is_dataset(given / "test") else given
    if source != TOY and is_dataset(given):
        settings: dict[str, object] = {"source": portable(given, store), "digest": dataset_digest(given)}
        return run_stage("source", store=store, inputs={}, settings=settings, code=(), work=adopt)
    if source == TOY:
        settings = {"source": source, "pictures": recipe.toy_pictures, "seed": recipe.seed}
        return run_stage("source", store=store, inputs={}, settings=settings, code=(__name__, "globe.demo.world"), work=draw)
    settings, work = photos_of(source, recipe.max_photos), partial(ingest, source, recipe)
    return run_stage("source", store=store, inputs={}, settings=settings, code=(__name__, "globe.data.ingest"), work=work)
