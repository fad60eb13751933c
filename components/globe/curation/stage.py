"""Stage curation: teachers annotate, rules verify, what survives is split."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers import Teacher
from globe.data.shards import dataset_digest
from globe.errors import InputError
from globe.events import Reporter
from globe.stage import Outcome, StageResult, run_stage

SIMULATED = "simulated"
"""Stands for the toy world's own teachers, which err at known rates."""


def curation(*, data: Path, teachers: str, recipe_name: str, recipe: CurationRecipe, store: Path) -> StageResult:
    """Annotate, verify and split a source dataset.

    Args:
        data: Source dataset.
        teachers: Comma-separated MODEL@URL (and coordinates:MODEL@URL), or "simulated" for a toy world.
        recipe_name: Name of the recipe.
        recipe: The recipe.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `data` is the folder with sft, reward_model, pool and test.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        with _teachers(teachers, data) as asked:
            report = curate(data, folder / "data", asked, recipe, reporter.progress)
        return Outcome(
            figure=_figure(report),
            outputs={"data": str(folder / "data")},
            figures=report,
            show=str(folder / "data"),
        )

    return run_stage(
        "curation",
        store=store,
        inputs={"data": dataset_digest(data)},
        settings={"teachers": teachers, "recipe_name": recipe_name, "recipe": recipe.model_dump()},
        code=("curation", "data", "geo") + (("demo",) if teachers == SIMULATED else ()),
        work=work,
    )


def parse_teachers(text: str) -> list[Teacher]:
    """The teachers that a comma-separated text names.

    Raises:
        InputError: None is named, or one is malformed.
    """
    teachers = [Teacher.parse(part.strip()) for part in text.split(",") if part.strip()]
    if not teachers:
        raise InputError("teachers: name them as MODEL@URL, such as qwen2.5-vl-72b@http://host:8000/v1")
    return teachers


@contextmanager
def _teachers(text: str, data: Path) -> Iterator[list[Teacher]]:
    if text != SIMULATED:
        yield parse_teachers(text)
        return
    from globe.demo.teacher_server import running_teachers

    with running_teachers(data) as specs:
        yield [Teacher.parse(spec) for spec in specs]


def _figure(report: dict) -> str:
    text = f"{report['kept']} of {report['in']} kept"
    measured = report.get("measured")
    if measured:
        text += (
            f"; {measured['wrong_removed_share']:.1%} of wrong annotations removed, "
            f"{measured['right_kept_share']:.1%} of right ones kept"
        )
    return text
