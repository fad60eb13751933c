"""What confidence is worth: calibration, risk against coverage, the radius that keeps its word, and abstention."""

from collections.abc import Sequence
from typing import Any

from globe.report import charts
from globe.report.accuracy import Evaluated
from globe.report.text import ABSENT, clean, count, interval, kilometres, limits, number, percent, words

CONFIDENCES = {"answer_probability": "probability of the answer", "agreement": "agreement of the sampled answers"}


def trust(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """Everything that the evaluations say about confidence; None if they say nothing."""
    found = {
        "kinds": [kind for key, name in CONFIDENCES.items() if (kind := _kind(key, name, evaluations))],
        "radii": [radius for e in evaluations if (radius := _radius(e))],
        "abstention": [told for e in evaluations if (told := _abstention(e))],
    }
    return found if any(found.values()) else None


def _part(evaluation: Evaluated, name: str) -> dict[str, Any]:
    """A part of the metrics that is a mapping; empty if it is absent."""
    found = evaluation.view.metrics.get(name)
    return found if isinstance(found, dict) else {}


def _kind(key: str, name: str, evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """One kind of confidence: its two charts with a line for each evaluation."""
    rows = []
    for e in evaluations:
        measured = _part(e, "confidence").get(key)
        if measured and number(measured.get("n")):
            rows.append(_measured(e, measured))
    return {"key": key, "name": name, "rows": rows} if rows else None


def _measured(evaluation: Evaluated, measured: dict[str, Any]) -> dict[str, Any]:
    bins = [one for one in measured.get("bins") or [] if number(one.get("n"))]
    points = _points(bins, "confidence_percent", "right_percent")
    curve = _points(measured.get("risk_coverage") or [], "coverage_percent", "right_percent")
    aurc = number(measured.get("aurc"))
    return {
        "series": evaluation.series,
        "name": evaluation.name,
        "n": count(measured.get("n")),
        "ignored": count(measured["ignored"]) if measured.get("ignored") else "",
        "ece": percent(measured.get("ece_percent")),
        "aurc": ABSENT if aurc is None else f"{aurc:.3f}",
        "points": [{"x": x, "y": 100 - y} for x, y in points],
        "whiskers": [
            {"x": x, "top": 100 - bounds[1], "bottom": 100 - bounds[0]}
            for one in bins
            if (bounds := limits(one.get("ci95"))) and (x := number(one.get("confidence_percent"))) is not None
        ],
        "line": charts.square_path(points),
        "curve": charts.square_path(curve),
        "bins": [_bin(one) for one in bins],
        "half": _right_at(curve, 50),
        "whole": _right_at(curve, 100),
    }


def _points(rows: Sequence[dict[str, Any]], x_name: str, y_name: str) -> list[tuple[float, float]]:
    """The points of a chart, without rows that lack one of their figures."""
    found = [(number(row.get(x_name)), number(row.get(y_name))) for row in rows]
    return [(x, y) for x, y in found if x is not None and y is not None]


def _bin(one: dict[str, Any]) -> dict[str, str]:
    return {
        "range": f"{_share(one.get('low'))} to {_share(one.get('high'))}",
        "n": count(one.get("n")),
        "confidence": percent(one.get("confidence_percent")),
        "right": percent(one.get("right_percent")),
        "interval": interval(one.get("ci95"), ""),
    }


def _share(value: Any) -> str:
    share = number(value)
    return ABSENT if share is None else f"{100 * share:.0f}%"


def _right_at(curve: Sequence[tuple[float, float]], coverage_percent: float) -> str:
    """How many of the surest answers are right, where about this share of all answers is kept."""
    if not curve:
        return ABSENT
    return percent(min(curve, key=lambda point: abs(point[0] - coverage_percent))[1])


def _radius(evaluation: Evaluated) -> dict[str, Any] | None:
    radius = _part(evaluation, "radius")
    if number(radius.get("measured_on")) is None:
        return None
    level = number(radius.get("level_percent"))
    bounds = limits(radius.get("ci95"))
    rows = [_covered(evaluation, "everywhere", radius, radius.get("measured_on"))]
    rows += [_covered(evaluation, clean(name, 60), one, one.get("n")) for name, one in (radius.get("continents") or {}).items()]
    return {
        "series": evaluation.series,
        "name": evaluation.name,
        "level": f"{level:g}%" if level is not None else ABSENT,
        "target": level,
        "coverage": percent(radius.get("coverage_percent")),
        "interval": interval(bounds),
        "kept": None if bounds is None or level is None else bounds[0] <= level <= bounds[1] or bounds[0] > level,
        "median": kilometres(radius.get("median_radius_km")),
        "by": CONFIDENCES.get(str(radius.get("by")), words(radius.get("by"))),
        "calibrated_on": count(radius.get("calibrated_on")),
        "measured_on": count(radius.get("measured_on")),
        "rows": rows,
    }


def _covered(evaluation: Evaluated, name: str, found: dict[str, Any], n: Any) -> dict[str, Any]:
    coverage, bounds = found.get("coverage_percent"), found.get("ci95")
    marked = charts.mark(evaluation.series, evaluation.name, coverage, bounds)
    return {
        "name": name,
        "note": f"n = {count(n)}",
        "marks": [{"mark": marked, "text": percent(coverage), "interval": interval(bounds, "")}],
    }


def _abstention(evaluation: Evaluated) -> dict[str, str] | None:
    found = _part(evaluation, "abstention")
    area = number(found.get("auroc"))
    if area is None:
        return None
    bounds = limits(found.get("ci95"))
    return {
        "series": str(evaluation.series),
        "name": evaluation.name,
        "auroc": f"{area:.2f}",
        "interval": f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else "",
        "n": count(found.get("n")),
        "localizable": count(found.get("localizable")),
        "by": CONFIDENCES.get(str(found.get("by")), words(found.get("by") or "confidence")),
    }
