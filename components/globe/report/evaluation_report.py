"""report.html of one evaluation, or of several side by side: the sections of a run's page that are about models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from globe.report import accuracy, distances, failures, provenance, published, reasoning, sections, slices, trust
from globe.report.page import render, write_page, write_rendered
from globe.report.text import clean, count
from globe.report.views import EvaluationView

FRAME_BYTES = 2_000_000
"""Most bytes of a page for KFP's UI: it has no limit, but it compares pages as text whenever it draws, and becomes slow."""
SMALLER = (
    ((), "", None),
    ((), "fewer pictures", {"right": 6, "wrong": 6, "sure": 3, "unplaced": 3}),
    (("pictures",), "no pictures", None),
    (("pictures", "map"), "neither pictures nor maps", None),
)
"""What is left out of a page that would be larger, how that is told, and how many pictures are shown; tried in turn."""


def evaluation_sections(
    views: Sequence[EvaluationView], pictures: Path | None, shown: dict[str, int] | None = None
) -> dict[str, Any]:
    """Everything that a page says about evaluations, by the names that the templates use.

    Args:
        views: The evaluations; the last one is what the page is about.
        pictures: The test dataset's folder, or a folder of image files named by id; None shows no pictures.
        shown: How many pictures of each kind to show; the usual numbers when None.
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
        "pictures": sections.pictures(evaluations, pictures, shown),
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
    write_page(path, "page.html", _context(views, pictures))


def write_framed_report(path: Path, views: Sequence[EvaluationView], pictures: Path | None, whole: str) -> None:
    """Write the page of evaluations for a frame in KFP's UI: smaller, if it would be too large, and then it says so.

    Args:
        path: The HTML file to write; its folder is made.
        views: The evaluations, at least one.
        pictures: As above.
        whole: Where the whole report lies.
    """
    for left_out, said, shown in SMALLER:
        note = f"So that KFP's UI can show this page, it has {said}. The whole report: {clean(whole)}" if said else ""
        context = _context(views, pictures, shown) | {"framed": True, "left_out": left_out, "shortened": note}
        page = render("page.html", context)
        if len(page.encode()) <= FRAME_BYTES:
            break
    write_rendered(path, page)


def _context(views: Sequence[EvaluationView], pictures: Path | None, shown: dict[str, int] | None = None) -> dict[str, Any]:
    last = views[-1]
    names = [clean(view.name, 160) for view in views]
    model = clean(last.metrics.get("model"), 120) if len(views) == 1 else ""
    dataset = last.metrics.get("dataset")
    return evaluation_sections(views, pictures, shown) | {
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
        "framed": False,
        "left_out": (),
        "shortened": "",
    }
