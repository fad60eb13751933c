"""Stage curation: teachers annotate, rules verify, what survives is split."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from globe.curation.asking import Share, ask_teachers
from globe.curation.curate import REPLIES_NAME, curate
from globe.curation.recipe import CurationRecipe
from globe.curation.replies import ReplyLog
from globe.curation.teachers import Teacher
from globe.data.shards import count_rows, dataset_digest, is_dataset
from globe.errors import InputError
from globe.events import Reporter
from globe.files import file_sha256
from globe.stage import Outcome, StageResult, run_stage
from globe.storage import portable

SIMULATED = "simulated"
"""Stands for the toy world's own teachers, which err at known rates."""
SETS = ("sft", "reward_model", "pool", "test")
"""The datasets of a curated folder."""


def annotate(*, data: Path, teachers: str, recipe: CurationRecipe, share: Share, store: Path) -> StageResult:
    """Ask the teachers about one part of a source dataset, beside annotators of the other parts.

    Args:
        data: Source dataset.
        teachers: As in `curation`.
        recipe: The recipe; only how to ask counts here.
        share: Which part.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `replies` is the log of what they said.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        path = folder / REPLIES_NAME
        with _teachers(teachers, data) as asked, ReplyLog(path) as log:
            found = ask_teachers(data, asked, recipe, log, reporter.progress, share)
        figure = f"part {share.index + 1} of {share.of}: {found.rows} pictures"
        return Outcome(figure, {"replies": str(path)}, {"pictures": found.rows}, show=str(path))

    return run_stage(
        "annotate",
        store=store,
        inputs={"data": dataset_digest(data)},
        settings={"teachers": teachers, "recipe": recipe.model_dump(), "share": [share.index, share.of]},
        code=("curation", "data") + (("demo",) if teachers == SIMULATED else ()),
        work=work,
    )


def given(*, uri: str, store: Path) -> StageResult:
    """Take a folder that an earlier curation made instead of curating.

    Raises:
        InputError: It lacks one of the sets.
    """
    folder = Path(uri).absolute()
    missing = [name for name in SETS if not is_dataset(folder / name)]
    if missing:
        raise InputError(f"start_from curation: {uri}: no dataset {missing[0]} there; a curated folder has {', '.join(SETS)}")

    def work(_: Path, reporter: Reporter) -> Outcome:
        rows = {name: count_rows(folder / name) for name in SETS}
        figure = "given: " + ", ".join(f"{count} {name}" for name, count in rows.items())
        return Outcome(figure, {"data": str(folder)}, {"in": sum(rows.values()), "kept": rows["sft"]}, show=str(folder))

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
        replies: Logs of annotators that have asked about parts of it before; only the rest is asked here.

    Returns:
        The stage's result; output `data` is the folder with sft, reward_model, pool and test.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        with _teachers(teachers, data) as asked:
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
