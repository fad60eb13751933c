"""`globe report`: evaluations as a page, as JSON or as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from globe.cli.options import JsonFlag, some_path
from globe.console import emit, to_json, waiting


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(parser=some_path, metavar="FOLDER", help="Evaluation folders; the last one is what it is about."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=some_path, metavar="FILE", help="HTML file to write [one: FOLDER/report.html; several: ./comparison.html]."
        ),
    ] = None,
    names: Annotated[str, typer.Option(metavar="A,B", help="What to call them [the models' names].")] = "",
    images: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FOLDER", help="Dataset, or images named by id [what the evaluation kept]."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a short table, as for a pull request's comment.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of metrics.json, and do nothing else.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show evaluations side by side on a page that works offline.

    --json prints the same figures. With it or with --markdown, a page is only written if --out is given.
    """
    from globe.errors import InputError
    from globe.evaluation.markdown import comparison_table
    from globe.evaluation.reports import COMPARISON_FILE, REPORT_FILE, document, pictures_of, read_evaluations
    from globe.figures.schema import schema as schema_of_figures
    from globe.files import output_folder
    from globe.report.evaluation_report import write_evaluation_report

    if schema:
        emit([to_json(schema_of_figures(), indent=2)])
        return
    if not folders:
        raise InputError("name the evaluation folders to report on, such as globe report runs/a runs/b")
    if markdown and as_json:
        raise InputError("give either --json or --markdown: both are printed to stdout")
    found = read_evaluations(folders, [name.strip() for name in names.split(",")] if names else [])
    page = out or (folders[0] / REPORT_FILE if len(folders) == 1 else Path(COMPARISON_FILE))
    if page.is_dir():
        raise InputError(f"--out {page}: is a folder; name an HTML file in it")
    if images and not images.is_dir():
        raise InputError(f"--images {images}: no such folder; give a dataset's, or one of images that are named by id")
    if out or not (markdown or as_json):
        output_folder(page.parent)
        with waiting(f"{page}: drawing"):
            write_evaluation_report(page, found, images or pictures_of(folders))
    if as_json:
        emit([to_json(document(found), indent=2)])
    elif markdown:
        emit([comparison_table(found)])
    else:
        emit([f"report        {page}"])


COMMANDS = (report,)
