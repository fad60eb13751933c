"""report.html of one evaluation, or of several side by side: the sections of a run's page that are about models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from globe.report import accuracy, distances, failures, provenance, published, reasoning, sections, slices, trust
from globe.report.page import write_page
from globe.report.text import clean, count
from globe.report.views import EvaluationView


def evaluation_sections(views: Sequence[EvaluationView], pictures: Path | None) -> dict[str, Any]:
    """Everything that a page says about evaluations, by the names that the templates use.

    Args:
        views: The evaluations; the last one is what the page is about.
        pictures: The test dataset's folder, or a folder of image files named by id; None shows no pictures.
    """
    evaluations = accuracy.evaluated(views)
    return {
        "world": sections.world(),
        "headline": accuracy.headline(evaluations),
        "published": published.beside_published(evaluations),
        "accuracy": accuracy.accuracy(evaluations),
        "changes": accuracy.changes(evaluations),
        "answers": failures.answers(evaluations),
        "distances": distances.distances(evaluations),
        "slices": slices.two_columns(slices.slices(evaluations)),
        "trust": trust.trust(evaluations),
        "reasoning": reasoning.reasoning(evaluations),
        "maps": sections.maps(evaluations),
        "pictures": sections.pictures(evaluations, pictures),
        "provenance": provenance.provenance(evaluations),
        "intervals": clean(views[-1].metrics.get("intervals"), 400) if views else "",
        "several": len(evaluations) > 1,
    }


def write_evaluation_report(path: Path, views: Sequence[EvaluationView], pictures: Path | None) -> None:
    """Write the page of one or several evaluations.

    Args:
        path: The HTML file to write; its folder is made.
        views: The evaluations, at least one.
        pictures: The test dataset's folder, or a folder of image files named by id; None shows no pictures.
    """
    last = views[-1]
    names = [clean(view.name, 160) for view in views]
    model = clean(last.metrics.get("model"), 120) if len(views) == 1 else ""
    dataset = last.metrics.get("dataset")
    context = evaluation_sections(views, pictures) | {
        "kind": "Comparison of evaluations" if len(views) > 1 else "Evaluation report",
        "title": " · ".join(names),
        "facts": [
            ("model" if len(views) == 1 else "models", model or (str(len(views)) if len(views) > 1 else names[0])),
            ("data set", clean(dataset.get("name"), 120) if isinstance(dataset, dict) else ""),
            ("pictures", count(last.metrics.get("n"))),
        ],
        "verdict": None,
        "rewards": None,
        "curation": None,
        "stages": [],
        "locate_command": "",
        "whole_run": False,
    }
    write_page(path, "page.html", context)
