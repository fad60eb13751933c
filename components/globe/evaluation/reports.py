"""Evaluations as plain records for the reports, with the differences between them; and the same figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globe.errors import InputError
from globe.evaluation.compare import compare
from globe.figures.metrics import level_of
from globe.figures.predictions import PREDICTIONS_FILE, read_predictions
from globe.figures.schema import check_figures
from globe.storage import stored_at

if TYPE_CHECKING:
    from globe.report.views import EvaluationView

METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"
COMPARISON_FILE = "comparison.html"
SOURCE_FOLDER = "source"
"""Where an evaluation keeps the pictures of a table or a folder of photos."""


def views(evaluations: Iterable[tuple[str, dict[str, Any], Path]]) -> list[EvaluationView]:
    """Evaluations as the report of a run shows them, each compared with the one before it.

    Args:
        evaluations: Title, metrics and folder of each, in the order of training. If a folder has no predictions, only its
            metrics are shown.

    Raises:
        InputError: A predictions file cannot be read; names file and row.
    """
    from globe.report.views import EvaluationView

    found: list[EvaluationView] = []
    for title, metrics, folder in evaluations:
        records = _read(folder) if (folder / PREDICTIONS_FILE).is_file() else None
        before = found[-1].predictions if found else None
        same = before and records and {record["id"] for record in before} == {record["id"] for record in records}
        change = compare(before, records) if same and before and records else None
        found.append(EvaluationView(title, metrics, records, change))
    return found


def _read(folder: Path) -> list[dict[str, Any]]:
    """The predictions, with the level of those that an earlier release wrote, so that a report counts them as the figures do."""
    return [record if record.get("level") else record | {"level": level_of(record)} for record in read_predictions(folder)]


def write_report(path: Path, title: str, metrics: dict[str, Any], folder: Path, pictures: Path) -> None:
    """Write the page of one evaluation.

    Args:
        path: The HTML file.
        title: What the page calls the model.
        metrics: The evaluation's metrics.
        folder: Where its predictions are.
        pictures: The dataset that was asked about.
    """
    from globe.report.evaluation_report import write_evaluation_report

    write_evaluation_report(path, views([(title, metrics, folder)]), pictures)


def write_framed_report(path: Path, title: str, metrics: dict[str, Any], folder: Path, pictures: Path) -> None:
    """Write the page of one evaluation as KFP's UI shows it.

    Args:
        path: The HTML file.
        title: What the page calls the model.
        metrics: The evaluation's metrics.
        folder: Where its predictions and the whole report are.
        pictures: The dataset that was asked about.
    """
    from globe.report.evaluation_report import write_framed_report as write

    write(path, views([(title, metrics, folder)]), pictures, stored_at(folder / REPORT_FILE))


def read_evaluations(folders: Sequence[Path], names: Sequence[str] = ()) -> list[EvaluationView]:
    """Evaluations that `globe evaluate` wrote, each compared with the first one where both are of the same pictures.

    Args:
        folders: Their folders, at least one.
        names: What to call them; none: the models' names, or the folders' where two of these are the same.

    Raises:
        InputError: A folder is no evaluation, or the number of names is another; names file, row and key.
    """
    from globe.report.views import EvaluationView

    if names and len(names) != len(folders):
        raise InputError(f"--names gives {len(names)} names for {len(folders)} folders; give one for each, between commas")
    metrics = [_read_metrics(folder) for folder in folders]
    called = list(names) or [str(one.get("model") or folder.name) for one, folder in zip(metrics, folders, strict=True)]
    if not names and len(set(called)) < len(called):
        called = [str(folder) for folder in folders]
    found: list[EvaluationView] = []
    for name, one, folder in zip(called, metrics, folders, strict=True):
        records = _read(folder)
        if one["n"] != len(records):
            raise InputError(
                f"{folder}: {METRICS_FILE} is of {one['n']} pictures and {PREDICTIONS_FILE} of {len(records)}, so they do not "
                "belong together; run globe evaluate again to write both anew"
            )
        change = _difference(found[0].predictions or [], records) if found else None
        found.append(EvaluationView(name, one, records, change, called[0]))
    return found


def _read_metrics(folder: Path) -> dict[str, Any]:
    path = folder / METRICS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no {METRICS_FILE} in it; give the folder that globe evaluate wrote") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error}); run globe evaluate again to write it anew") from None
    return check_figures(content, str(path))


def _difference(first: list[dict[str, Any]], records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The paired difference from the first evaluation; None if they are not of the same pictures and truths."""
    try:
        return compare(first, records)
    except InputError:
        return None


def pictures_of(folders: Sequence[Path]) -> Path | None:
    """Where the pictures of evaluations are, if one of them has kept them; the last one's first."""
    kept = (folder / SOURCE_FOLDER for folder in reversed(folders))
    return next((folder for folder in kept if folder.is_dir()), None)


def document(found: Sequence[EvaluationView]) -> dict[str, Any]:
    """The figures of a report as JSON.

    Returns:
        evaluations: name and figures (metrics.json) of each; differences: of each from the first on the same pictures, as
        `globe compare` prints them.
    """
    return {
        "evaluations": [{"name": view.name, "figures": view.metrics} for view in found],
        "differences": [
            {"a": view.against, "b": view.name} | view.change for _, view in pairwise(found) if view.change is not None
        ],
    }
