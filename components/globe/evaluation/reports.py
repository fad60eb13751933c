"""Evaluations as plain records for the reports, with the differences between them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globe.evaluation.compare import compare
from globe.evaluation.predictions import PREDICTIONS_FILE, read_predictions

if TYPE_CHECKING:
    from globe.report.views import EvaluationView


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
        records = read_predictions(folder) if (folder / PREDICTIONS_FILE).is_file() else None
        before = found[-1].predictions if found else None
        same = before and records and {record["id"] for record in before} == {record["id"] for record in records}
        change = compare(before, records) if same and before and records else None
        found.append(EvaluationView(title, metrics, records, change))
    return found


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
