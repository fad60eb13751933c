"""Figures and verdicts as Markdown, for a run's page and for a CI job's summary."""

from collections.abc import Mapping
from typing import Any


def figures_table(metrics: Mapping[str, Any]) -> str:
    """Accuracy by distance with 95% intervals, and the other figures that people look at first.

    Args:
        metrics: An evaluation's metrics.

    Returns:
        Markdown.
    """
    lines = ["| within | accuracy | 95% interval |", "|---|---|---|"]
    for distance_km, percent in metrics["accuracy"].items():
        low, high = metrics["ci95"][distance_km]
        lines.append(f"| {distance_km} km | {percent:.1f}% | {low:.1f} to {high:.1f} |")
    median = metrics.get("median_km")
    rest = [
        f"{metrics['n']} pictures",
        f"median distance {median:.0f} km" if median is not None else "no distance could be measured",
        f"{metrics['parsed_percent']:.1f}% of the answers could be read",
    ]
    warnings = [f"\n{escape(warning)}" for warning in metrics.get("warnings", ())]
    return "\n".join([*lines, "", ", ".join(rest), *warnings, ""])


def verdict_text(judged: Mapping[str, Any]) -> str:
    """The gate's verdict and its reasons.

    Args:
        judged: What `globe.evaluation.gate.judge` returned.

    Returns:
        Markdown.
    """
    notes = []
    if judged["verdict"] == "inconclusive" and judged.get("decision"):
        passes = judged["decision"] == "promote"
        notes.append("The recipe lets an inconclusive verdict pass." if passes else "An inconclusive verdict does not pass.")
    if judged.get("promotes") is False:
        notes.append("This run only judges: it promotes nothing.")
    reasons = [f"- {escape(reason)}" for reason in judged["reasons"]]
    return "\n".join([f"**{judged['verdict']}**", "", *([" ".join(notes), ""] if notes else []), *reasons, ""])


def escape(text: str) -> str:
    """Escape untrusted text so that Markdown shows it as it is, on one line."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    marked = "".join(f"\\{character}" if character in "\\`*_[]|#!~@" else character for character in line)
    return marked.replace("://", ":&#47;&#47;")  # not a link to click on
