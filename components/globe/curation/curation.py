"""Stage curation: teachers annotate, rules verify, what survives is split."""

from collections.abc import Sequence
from pathlib import Path

from globe.curation.curate import curate
from globe.curation.named import named_teachers, teachers_code
from globe.curation.recipe import CurationRecipe
from globe.data.shards import MANIFEST_NAME, count_rows, dataset_digest, is_dataset
from globe.errors import InputError
from globe.files import file_sha256
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.storage import portable

SETS = ("sft", "reward_model", "pool", "test")
"""The datasets of a curated folder."""


def given(*, uri: str, store: Path) -> StageResult:
    """Use the folder of an earlier curation instead of curating.

    Raises:
        InputError: One of the sets is missing.
    """
    folder = Path(uri).absolute()
    missing = [name for name in SETS if not is_dataset(folder / name)]
    if missing:
        raise InputError(f"start_from curation: {uri}: no dataset {missing[0]} there; a curated folder has {', '.join(SETS)}")

    def work(_: Path, reporter: Reporter) -> Outcome:
        rows = {name: count_rows(folder / name) for name in SETS}
        figure = "given: " + ", ".join(f"{count} {name}" for name, count in rows.items())
        kept = {"data": [f"{name}/{MANIFEST_NAME}" for name in SETS]}
        figures = {"in": sum(rows.values()), "kept": rows["sft"]}
        return Outcome(figure, {"data": str(folder)}, figures, show=str(folder), given=kept)

    digests = {name: dataset_digest(folder / name) for name in SETS}
    return run_stage("curation", store=store, inputs=digests, settings={"given": portable(folder, store)}, code=(), work=work)


def curation(
    *,
    data: Path,
    teachers: str,
    recipe_name: str,
    recipe: CurationRecipe,
    store: Path,
    replies: Sequence[Path] = (),
) -> StageResult:
    """Annotate, verify and split a source dataset.

    Args:
        data: Source dataset.
        teachers: Comma-separated MODEL@URL (and coordinates:MODEL@URL), or "simulated" for a toy world.
        recipe_name: Name of the recipe.
        recipe: The recipe.
        store: Where stages keep their results.
        replies: Logs of annotators that have already asked about parts of it; only the rest is asked here.

    Returns:
        The stage's result; output `data` is the folder with sft, reward_model, pool and test.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        with named_teachers(teachers, data) as asked:
            report = curate(data, folder / "data", asked, recipe, reporter.progress, replies)
        return Outcome(
            figure=_figure(report),
            outputs={"data": str(folder / "data")},
            figures=report,
            show=str(folder / "data"),
        )

    return run_stage(
        "curation",
        store=store,
        inputs={"data": dataset_digest(data)} | {str(number): file_sha256(path) for number, path in enumerate(replies)},
        settings={"teachers": teachers, "recipe_name": recipe_name, "recipe": recipe.model_dump()},
        code=(__name__, *teachers_code(teachers)),
        work=work,
    )


def _figure(report: dict) -> str:
    text = f"{report['kept']} of {report['in']} kept"
    measured = report.get("measured")
    if measured:
        text += (
            f"; {measured['wrong_removed_share']:.1%} of wrong annotations removed, "
            f"{measured['right_kept_share']:.1%} of right ones kept"
        )
    return text
