"""report.html of a run: what the whole pipeline did and what it achieved, on one page."""

from datetime import datetime
from pathlib import Path

from globe.report import sections
from globe.report.evaluation_report import evaluation_sections
from globe.report.page import write_page
from globe.report.text import clean, duration
from globe.report.views import RunReport


def write_run_report(path: Path, report: RunReport) -> None:
    """Write the page of a run.

    Args:
        path: The HTML file to write; its folder is made.
        report: What to show. The page says so where something is missing.
    """
    context = evaluation_sections(report.evaluations, report.pictures) | {
        "kind": "Run report",
        "title": clean(report.title, 160),
        "facts": [
            ("profile", clean(report.profile, 80)),
            ("started", _moment(report.started)),
            ("took", duration(report.seconds)),
        ],
        "verdict": sections.verdict(report.gate),
        "rewards": sections.rewards(report.reward_curve),
        "curation": sections.curation(report.curation),
        "stages": sections.stages(report.stages),
        "locate_command": clean(report.locate_command),
        "whole_run": True,
        "framed": False,
        "left_out": (),
        "shortened": "",
    }
    write_page(path, "page.html", context)


def _moment(iso: str) -> str:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return clean(iso, 40)
    zone = f" {moment.tzname()}" if moment.tzinfo else ""
    return f"{moment:%Y-%m-%d %H:%M}{zone}"
