"""Stage curation: teachers annotate, rules verify, what survives is split."""

from collections.abc import Sequence
from pathlib import Path

from globe.curation.curate import curate
from globe.curation.cut import found
from globe.curation.guard.facts import test_sets_inputs
from globe.curation.merge import About, merge_parts
from globe.curation.recipe import CurationRecipe
from globe.curation.sets.outputs import SETS
from globe.curation.source_part import files_of
from globe.curation.teachers.named import asked_teachers, named_teachers, teachers_code, teachers_inputs, weights_among
from globe.data.listing import changes
from globe.data.parts import parts_of
from globe.data.recipe import SourceRecipe
from globe.data.registry import find_data_set
from globe.data.shards import MANIFEST_NAME, count_rows, dataset_digest, is_dataset
from globe.errors import GlobeError, InputError
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.storage import portable


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


def curation(*, data: Path, teachers: str, recipe_name: str, recipe: CurationRecipe, store: Path) -> StageResult:
    """Annotate, verify and split a source dataset.

    Args:
        data: Source dataset.
        teachers: Comma-separated MODEL@URL of VLMs, KIND:MODEL[@URL] of witnesses (`teachers.teacher`), or "simulated" for a toy
            world.
        recipe_name: Name of the recipe.
        recipe: The recipe.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `data` is the folder with sft, reward_model, pool and test.
    """

    weights = teachers_inputs(teachers)

    def work(folder: Path, reporter: Reporter) -> Outcome:
        with named_teachers(teachers, data, weights) as asked:
            return _outcome(folder, curate(data, folder / "data", asked, recipe, reporter.progress))

    return run_stage(
        "curation",
        store=store,
        inputs={"data": dataset_digest(data), **weights, **test_sets_inputs(recipe)},
        settings={"teachers": teachers, "recipe_name": recipe_name, "recipe": recipe.model_dump()},
        code=(__name__, *teachers_code(teachers)),
        work=work,
    )


def merged(
    *,
    source: str,
    parts: Sequence[tuple[StageResult, StageResult]],
    teachers: str,
    recipe_name: str,
    recipe: CurationRecipe,
    source_recipe: SourceRecipe,
    store: Path,
) -> StageResult:
    """Put the parts of a source together that annotators have read and asked about, verify and split.

    Args:
        source: What was cut, as the stage `source` takes it.
        parts: For each part the result of reading it, and of asking about it.
        teachers: As in `curation`; so are the next two.
        recipe_name: Name of the recipe.
        recipe: The recipe.
        source_recipe: How many of the source's rows may be lost.
        store: Where stages keep their results.

    Returns:
        As `curation`.

    Raises:
        GlobeError: A part is missing, or not all were asked of the same weights.
    """
    parts = complete(parts)
    files = [files_of(read, asked) for read, asked in parts]
    told = parts[0][0].outcome.figures
    world = found(source, source_recipe, store).path if told["dataset"] else None
    data_set = find_data_set(told["data_set"]) if told["data_set"] else None
    about = About(told["name"], world, not told["dataset"], data_set, source_recipe.max_unusable_percent)

    asked = asked_teachers(teachers, _weights_asked(parts))

    def work(folder: Path, reporter: Reporter) -> Outcome:
        return _outcome(folder, merge_parts(about, files, folder / "data", asked, recipe, reporter.progress))

    return run_stage(
        "curation",
        store=store,
        inputs={f"{stage.name} {number}": stage.key for number, part in enumerate(parts) for stage in part}
        | test_sets_inputs(recipe),
        settings={
            "teachers": teachers,
            "recipe_name": recipe_name,
            "recipe": recipe.model_dump(),
            "max_unusable_percent": source_recipe.max_unusable_percent,
        },
        code=(__name__, *teachers_code(teachers)),
        work=work,
    )


def complete(parts: Sequence[tuple[StageResult, StageResult]]) -> list[tuple[StageResult, StageResult]]:
    """The parts in the source's order.

    Raises:
        GlobeError: They are not all parts of one cut of one source.
    """
    ordered = sorted(parts, key=lambda part: part[0].outcome.figures["part"])
    told = [read.outcome.figures for read, _ in ordered]
    for one in told:
        if changed := changes(told[0]["listing"], one["listing"]):
            numbers = f"{told[0]['part'] + 1} and {one['part'] + 1}"
            raise GlobeError(f"curation: the source changed between parts {numbers} ({changed}); run the annotators again")
    cuts = {(one["source"], one["rows"], one["part_rows"]) for one in told}
    rows, part_rows = (told[0]["rows"], told[0]["part_rows"]) if told else (0, 1)
    wanted = [part.index for part in parts_of(rows, part_rows)]
    if len(cuts) != 1 or [one["part"] for one in told] != wanted:
        got = ", ".join(str(one["part"] + 1) for one in told) or "none"
        raise GlobeError(f"curation: {len(wanted)} parts of {rows} rows are expected, but got: {got}; run the annotators again")
    return ordered


def _weights_asked(parts: Sequence[tuple[StageResult, StageResult]]) -> dict[str, str]:
    """The weights of the run's own witnesses that all parts were asked of.

    Raises:
        GlobeError: They are not the same for all.
    """
    weights = [weights_among(asked.inputs) for _, asked in parts]
    for number, of_part in enumerate(weights, start=1):
        if of_part != weights[0]:
            names = ", ".join(sorted(name for name, _ in of_part.items() ^ weights[0].items()))
            raise GlobeError(f"curation: {names}: changed between parts 1 and {number}; run the annotators again")
    return weights[0]


def _outcome(folder: Path, report: dict) -> Outcome:
    data = str(folder / "data")
    return Outcome(figure=_figure(report), outputs={"data": data}, figures=report, show=data)


def _figure(report: dict) -> str:
    text = f"{report['kept']} of {report['in']} kept"
    measured = report.get("measured")
    if measured:
        text += (
            f"; {measured['wrong_removed_share']:.1%} of wrong annotations removed, "
            f"{measured['right_kept_share']:.1%} of right ones kept"
        )
    return text
