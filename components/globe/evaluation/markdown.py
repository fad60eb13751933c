"""Figures and verdicts as Markdown, for a run's page and for a CI job's summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from globe.markdown import escape

if TYPE_CHECKING:
    from globe.report.views import EvaluationView

SHOWN_KM = ("25", "200", "750")
LONGEST_NAME = 80


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
        lines.append(f"| {escape(str(distance_km))} km | {percent:.1f}% | {low:.1f} to {high:.1f} |")
    median = metrics.get("median_km")
    rest = [
        f"{escape(str(metrics['n']))} pictures",
        f"median distance {median:.0f} km" if median is not None else "no distance could be measured",
        f"{metrics['parsed_percent']:.1f}% of the answers could be read",
    ]
    warnings = [f"\n{escape(warning)}" for warning in metrics.get("warnings", ())]
    return "\n".join([*lines, "", ", ".join(rest), *warnings, ""])


def comparison_table(evaluations: Sequence[EvaluationView]) -> str:
    """Evaluations side by side, short enough for a comment on a pull request.

    Args:
        evaluations: At least one; differences are those from the first.

    Returns:
        Markdown.
    """
    rows = [("pictures", [f"{view.metrics['n']:,}" for view in evaluations])]
    rows += [(f"within {km} km", [_share(view.metrics, km) for view in evaluations]) for km in SHOWN_KM]
    rows.append(("right country", [_share(view.metrics, "country_match") for view in evaluations]))
    rows.append(("median distance", [_median(view.metrics) for view in evaluations]))
    names = [escape(view.name[:LONGEST_NAME]) for view in evaluations]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows]
    changes = [f"- {_change_line(names[0], name, view)}" for name, view in zip(names[1:], evaluations[1:], strict=True)]
    warnings = [f"- {name}: {escape(text)}" for name, view in zip(names, evaluations, strict=True) for text in _warnings(view)]
    return "\n".join([*lines, "", *changes, *warnings, ""])


def _share(metrics: Mapping[str, Any], key: str) -> str:
    value = metrics["accuracy"].get(key) if key.isdigit() else metrics.get(key)
    if value is None:
        return "–"
    low, high = (metrics.get("ci95") or {}).get(key) or (None, None)
    return f"{value:.1f}%" if low is None or high is None else f"{value:.1f}% ({low:.1f} to {high:.1f})"


def _median(metrics: Mapping[str, Any]) -> str:
    return "–" if metrics.get("median_km") is None else f"{metrics['median_km']:,.0f} km"


def _change_line(first: str, name: str, view: EvaluationView) -> str:
    """What changed within 25 km from the first evaluation to another one."""
    if view.change is None:
        return f"{name} was not asked about the same pictures as {first}, so they cannot be compared picture by picture"
    entry = view.change["accuracy"]["25"]
    low, high = entry.get("ci95") or (None, None)
    spread = "no interval" if low is None or high is None else f"95% interval {low:+.1f} to {high:+.1f}"
    verdict = f"; {escape(str(view.change['verdict']))}" if view.change.get("verdict") else ""
    return (
        f"{name} against {first}, {view.change['n']:,} pictures, within 25 km: {entry['difference']:+.1f} points "
        f"({spread}){verdict}"
    )


def _warnings(view: EvaluationView) -> Sequence[str]:
    return view.metrics.get("warnings") or ()


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
    return "\n".join([f"**{escape(str(judged['verdict']))}**", "", *([" ".join(notes), ""] if notes else []), *reasons, ""])
