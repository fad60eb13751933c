"""Stage annotate: ask the teachers about one part of a dataset, while other annotators do the other parts."""

from pathlib import Path

from globe.curation.asking import HOW_TO_ASK, Share, ask_teachers
from globe.curation.named import named_teachers, teachers_code
from globe.curation.recipe import CurationRecipe
from globe.curation.replies import REPLIES_NAME, ReplyLog
from globe.data.shards import dataset_digest
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage


def annotate(*, data: Path, teachers: str, recipe: CurationRecipe, share: Share, store: Path) -> StageResult:
    """Ask the teachers about one part of a source dataset, while other annotators do the other parts.

    Args:
        data: Source dataset.
        teachers: As in `curation`.
        recipe: The recipe; only its settings for asking are used here.
        share: Which part.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `replies` is the log of their replies.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        path = folder / REPLIES_NAME
        with named_teachers(teachers, data) as asked, ReplyLog(path) as log:
            found = ask_teachers(data, asked, recipe, log, reporter.progress, share)
        figure = f"part {share.index + 1} of {share.of}: {found.rows} pictures"
        return Outcome(figure, {"replies": str(path)}, {"pictures": found.rows}, show=str(path))

    return run_stage(
        "annotate",
        store=store,
        inputs={"data": dataset_digest(data)},
        settings={"teachers": teachers, "recipe": recipe.model_dump(include=HOW_TO_ASK), "share": [share.index, share.of]},
        code=(__name__, *teachers_code(teachers)),
        work=work,
    )
