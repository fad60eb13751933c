"""`globe curate`: annotate photos, verify, split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from globe.cli.options import JsonFlag, Overrides, some_path, some_source
from globe.console import emit, tell, to_json


def curate(
    source: Annotated[
        str,
        typer.Option(
            parser=some_source,
            metavar="NAME|PATH",
            help="Folder, zip or tar of geotagged photos; table; dataset; known data set.",
        ),
    ],
    teacher: Annotated[
        list[str],
        typer.Option(help="MODEL@URL, or KIND:MODEL[@URL], KIND: coordinates, segmentation, alignment; repeat for more."),
    ],
    out: Annotated[Path, typer.Option(parser=some_path, metavar="FOLDER", help="Folder for the curated sets.")],
    recipe: Annotated[str, typer.Option(help="Curation recipe, or a YAML file.")] = "mp16",
    settings: Overrides = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would need.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Annotate photos with teachers, verify, split what passes."""
    from globe.console import waiting
    from globe.curation.curate import check_apart
    from globe.curation.curate import curate as run
    from globe.curation.guard.facts import test_sets_of
    from globe.curation.plan import plan_curation
    from globe.curation.recipe import CurationRecipe
    from globe.curation.show import plan_lines, result_lines
    from globe.curation.teachers.named import named_teachers, parse_teachers
    from globe.curation.teachers.teacher import check_teachers
    from globe.data.named import resolve
    from globe.files import output_folder, writing_to
    from globe.recipes.load import load_recipe, parse_overrides
    from globe.run.events import Reporter

    teachers = parse_teachers(",".join(teacher))
    loaded = load_recipe(CurationRecipe, "curation", recipe, parse_overrides(settings or []))
    check_teachers(teachers, loaded)
    test_sets_of(loaded)  # before witnesses are loaded, which takes minutes
    given = resolve(source)
    if plan:
        with waiting(f"{source}: reading"):
            planned = plan_curation(given, teachers, loaded)
        emit([to_json(planned)] if as_json else plan_lines(planned))
        return
    check_apart(given, out)  # before the folder is made
    tell(f"curation recipe {recipe}: {loaded.timeout_s:g} s a call, {loaded.retries} more attempts; --recipe and --set change it")
    reporter = Reporter("curate", output_folder(out) / "curate.log")
    with (
        _resumable(out),
        writing_to(out),
        waiting("curating: nothing new") as heard,
        named_teachers(",".join(teacher), given.path) as asked,
    ):
        reporter.note(f"listing what {source} holds")

        def progress(done: int, total: int, figure: str) -> None:
            heard()
            reporter.progress(done, total, figure)

        result = run(given, out, asked, loaded, progress)
    emit([to_json(result)] if as_json else result_lines(result, out))


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Say after Ctrl-C what is left: replies may have been paid for."""
    try:
        yield
    except KeyboardInterrupt:
        tell(f"{out}: interrupted; what was read and replied so far is kept there, and the same command goes on")
        raise


COMMANDS = (curate,)
