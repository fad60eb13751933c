"""report.html of one evaluation: the sections of a run's page that are about one model."""

from pathlib import Path

from globe.report import accuracy, sections
from globe.report.page import write_page
from globe.report.text import clean, count
from globe.report.views import EvaluationView


def write_evaluation_report(path: Path, view: EvaluationView, pictures: Path | None) -> None:
    """Write the page of one evaluation.

    Args:
        path: The HTML file to write; its folder is made.
        view: The evaluation.
        pictures: The test dataset's folder, or a folder of image files named by id; None shows no pictures.
    """
    evaluations = accuracy.evaluated([view])
    model = clean(view.metrics.get("model"), 120)
    context = {
        "kind": "Evaluation report",
        "title": clean(view.name, 160),
        "facts": [("model", model or clean(view.name, 80)), ("pictures", count(view.metrics.get("n")))],
        "world": sections.world(),
        "verdict": None,
        "headline": accuracy.headline(evaluations),
        "accuracy": accuracy.accuracy(evaluations),
        "changes": [],
        "maps": sections.maps(evaluations),
        "pictures": sections.pictures(evaluations, pictures),
        "rewards": None,
        "curation": None,
        "stages": [],
        "locate_command": "",
        "whole_run": False,
    }
    write_page(path, "page.html", context)
