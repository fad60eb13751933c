"""Stage annotate: ask the teachers about one part of a source, while other pods ask about the other parts."""

from collections.abc import Mapping
from pathlib import Path

from globe.curation.cut import found
from globe.curation.parts import PartFiles, ask_part, end_as_is, go_on_from
from globe.curation.recipe import CurationRecipe
from globe.curation.source_part import files_of
from globe.curation.teachers.asking import HOW_TO_ASK
from globe.curation.teachers.named import SIMULATED, named_teachers, teachers_code, teachers_inputs
from globe.curation.teachers.replies import REPLIES_NAME
from globe.data.recipe import SourceRecipe
from globe.data.shards import dataset_digest
from globe.errors import GlobeError, InputError
from globe.files import file_sha256
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage


def annotate(
    *, part: StageResult, source: str, source_recipe: SourceRecipe, teachers: str, recipe: CurationRecipe, store: Path
) -> StageResult:
    """Ask the teachers about one part of a source.

    Where an earlier run got no answer to some questions, this one asks them again, and only them. Its result has an address of
    its own; the earlier one stays as it is for whoever reads it.

    Args:
        part: The part, as `globe.curation.source_part.source_part` made it.
        source: What it is a part of, as the stage `source` takes it: simulated teachers know the toy world only.
        source_recipe: Which toy world it is.
        teachers: As in `curation`.
        recipe: The recipe; only its settings for asking are used here.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `asked` is the folder with the log of their replies.
    """
    read = files_of(part)
    world = found(source, source_recipe, store).path if teachers == SIMULATED else Path()

    weights, number = teachers_inputs(teachers), part.outcome.figures["part"] + 1

    def ask(before: StageResult | None = None) -> StageResult:
        def work(folder: Path, reporter: Reporter) -> Outcome:
            files = PartFiles(read.data, read.read, folder / "asked")
            with named_teachers(teachers, world, weights) as asked:
                if before:
                    go_on_from(files, files_of(part, before))
                try:
                    ask_part(files, asked, recipe, reporter.progress)
                except GlobeError as error:
                    if not before:
                        kind = InputError if isinstance(error, InputError) else GlobeError
                        raise kind(f"part {number}: {error}") from error
                    # Some questions may never get an answer: that they got none again takes nothing from what there is.
                    end_as_is(files, files_of(part, before))
                    reporter.note(f"{files.unanswered()} questions have no answer still, and stay without: {error}")
            figures = {"pictures": part.outcome.figures["pictures"], "unanswered": files.unanswered()}
            return Outcome(_figure(number, figures), {"asked": str(files.asked)}, figures)

        return run_stage(
            "annotate",
            store=store,
            inputs={"data": dataset_digest(read.data), **weights, **(_as_inputs(part, before) if before else {})},
            settings={"teachers": teachers, "recipe": recipe.model_dump(include=HOW_TO_ASK)},
            code=(__name__, *teachers_code(teachers)),
            work=work,
        )

    result = ask()
    while result.outcome.figures["unanswered"] and not result.is_of_this_run:
        result = ask(result)
    return result


def _as_inputs(part: StageResult, before: StageResult) -> dict[str, str]:
    """What an earlier result is: with its address alone, one that was repeated would be taken for what it was."""
    return {"before": before.key, "replies": file_sha256(files_of(part, before).asked / REPLIES_NAME)}


def _figure(number: int, figures: Mapping[str, int]) -> str:
    text = f"part {number}: {figures['pictures']} pictures"
    return text + (f"; unanswered questions: {figures['unanswered']}" if figures["unanswered"] else "")
