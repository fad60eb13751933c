"""Stage source, of one part: its usable pictures as a dataset, while other pods read the other parts."""

from __future__ import annotations

from pathlib import Path

from globe.curation.cut import Shares, found
from globe.curation.merge import About, check_lost
from globe.curation.parts import PartFiles, read_part
from globe.data.images import MAX_SIDE_PX
from globe.data.parts import Part
from globe.data.recipe import SourceRecipe
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage


def source_part(*, source: str, recipe: SourceRecipe, shares: Shares, part: Part, store: Path) -> StageResult:
    """Read one part of a source.

    Args:
        source: As the stage `source` takes it.
        recipe: Which pictures are kept, and how many of the source's rows may be lost.
        shares: How it is cut.
        part: Which of the parts.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `data` is the dataset, output `read` the folder with what else `PartFiles` reads.

    Raises:
        InputError: More rows of this part are lost than may be of the whole source, or the source has changed since it was cut.
    """
    given, rows = found(source, recipe, store), shares.rows

    def work(folder: Path, reporter: Reporter) -> Outcome:
        files = PartFiles(folder / "data", folder / "read", folder)
        read_part(
            given, part, files, MAX_SIDE_PX, lambda done: reporter.progress(done, part.rows), recipe.keep_remote, shares.listing
        )
        # A part that has lost more rows than the whole may lose: nobody needs to be asked about the others.
        check_lost(About.of(given, recipe.max_unusable_percent), files.lost(), rows, folder)
        lost = {reason: one.n for reason, one in files.lost().items()}
        usable = files.listed() - sum(lost.values())
        figure = f"rows {part.first + 1} to {min(part.end, rows)} of {rows}: {usable} pictures"
        figure += f", {sum(lost.values())} could not be used" if lost else ""
        figures = {
            "pictures": usable,
            "quarantined": lost,
            "part": part.index,
            "part_rows": part.rows,
            "rows": rows,
            "source": shares.source,
            "listing": dict(shares.listing),
        }
        about = {"name": given.name, "data_set": given.data_set.name if given.data_set else "", "dataset": given.is_dataset}
        return Outcome(figure, {"data": str(files.data), "read": str(files.read)}, figures | about)

    return run_stage(
        "source",
        store=store,
        inputs={},
        settings={
            "source": shares.source,
            "listing": dict(shares.listing),
            "part": [part.index, part.rows, rows],
            "max_side_px": MAX_SIDE_PX,
            "keep_remote": recipe.keep_remote,
            "max_unusable_percent": recipe.max_unusable_percent,
        },
        code=(__name__, "globe.curation.parts"),
        work=work,
    )


def files_of(read: StageResult, asked: StageResult | None = None) -> PartFiles:
    """Where the stages of a part left their files."""
    folder = asked.outcome.path("asked") if asked else read.folder
    return PartFiles(read.outcome.path("data"), read.outcome.path("read"), folder)
