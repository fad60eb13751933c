"""How much of the reasoning comes from the picture, and what several answers cover together."""

import math
from collections.abc import Sequence
from typing import Any

from globe.report import charts
from globe.report.accuracy import SERIES, Evaluated
from globe.report.text import count, kilometres, known_interval, limits, number, percent, signed, words

SWAPS = {
    "own_percent": "its own picture",
    "same_country_percent": "another picture of the same country",
    "other_country_percent": "a picture of another country",
}
DIFFERENCES = {
    "own_minus_same_country": "its own less another of the same country",
    "own_minus_other_country": "its own less one of another country",
    "same_minus_other_country": "one of the same country less one of another",
}


def reasoning(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """Grounding, the image-swap control and recall against area; None if no evaluation has any of them."""
    found = {
        "grounding": [one for e in evaluations if (one := _grounding(e))],
        "swaps": [one for e in evaluations if (one := _swap(e))],
        "areas": [one for e in evaluations if (one := _area(e))],
    }
    return found if any(found.values()) else None


def _grounding(evaluation: Evaluated) -> dict[str, Any] | None:
    found = evaluation.view.metrics.get("grounding")
    if not isinstance(found, dict) or number(found.get("percent")) is None:
        return None
    return {
        "series": evaluation.series,
        "name": evaluation.name,
        "percent": percent(found["percent"]),
        "interval": known_interval(found.get("ci95"), "%"),
        **{key: count(found.get(key)) for key in ("n", "named", "in_picture")},
    }


def _swap(evaluation: Evaluated) -> dict[str, Any] | None:
    found = evaluation.view.metrics.get("image_swap")
    if not isinstance(found, dict) or number(found.get("own_percent")) is None:
        return None
    intervals = found.get("ci95") or {}
    rows = []
    for key, name in SWAPS.items():
        bounds = intervals.get(key)
        marked = charts.mark(evaluation.series, evaluation.name, found.get(key), bounds)
        rows.append({"name": name, "note": "", "marks": [{"mark": marked, "text": percent(found.get(key))}]})
    return {
        "series": evaluation.series,
        "name": evaluation.name,
        "n": count(found.get("n")),
        "rows": rows,
        "differences": [_difference(key, value) for key, value in found.items() if _is_difference(value)],
    }


def _is_difference(value: Any) -> bool:
    return isinstance(value, dict) and number(value.get("difference")) is not None


def _difference(key: str, value: dict[str, Any]) -> dict[str, str]:
    bounds = limits(value.get("ci95"))
    return {
        "name": DIFFERENCES.get(key) or words(key),
        "text": signed(value["difference"]),
        "interval": f"{signed(bounds[0])} to {signed(bounds[1])}" if bounds else "",
    }


def _area(evaluation: Evaluated) -> dict[str, Any] | None:
    """For each radius a curve: the area searched around the first, second, ... answer, and how often the truth lies in it."""
    found = evaluation.view.metrics.get("recall_area")
    usable = [one for one in found if _is_searched(one)] if isinstance(found, list) else []
    if not usable:
        return None
    areas = [float(one["area_km2"]) for one in usable]
    low, high = 10.0 ** math.floor(math.log10(min(areas))), 10.0 ** max(1, math.ceil(math.log10(max(areas))))
    radii = list(dict.fromkeys(number(one.get("radius_km")) for one in usable))
    curves = []
    for order, radius in enumerate(radii):
        here = [one for one in usable if number(one.get("radius_km")) == radius]
        points = [(charts.log_percent(one["area_km2"], low, high), one["recall_percent"]) for one in here]
        line = "M" + "L".join(f"{10 * x:.0f} {3 * (100 - y):.1f}" for x, y in points)
        name = "all answers" if radius is None else f"within {kilometres(radius)} of an answer"
        ends = f"{percent(here[0]['recall_percent'])} with one answer, {percent(here[-1]['recall_percent'])} with {len(here)}"
        shown = {"series": SERIES - 1 - order % SERIES, "name": name, "n": "", "line": line, "ends": ends}
        curves.append(shown | {"rows": _searched(here)})
    powers = range(round(math.log10(low)), round(math.log10(high)) + 1)
    return {
        "series": evaluation.series,
        "name": evaluation.name,
        "n": count(number(usable[0].get("n")) or evaluation.view.metrics.get("n")),
        "curves": curves,
        "ticks": [(charts.log_percent(10.0**power, low, high), f"{10**power:,}") for power in powers][:: 1 + len(powers) // 6],
    }


def _is_searched(one: Any) -> bool:
    if not isinstance(one, dict):
        return False
    area, recall = number(one.get("area_km2")), number(one.get("recall_percent"))
    return area is not None and area > 0 and recall is not None


def _searched(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "answers": count(one.get("answers")),
            "area": f"{one['area_km2']:,.0f} km²",
            "recall": percent(one["recall_percent"]),
            "interval": known_interval(one.get("ci95")),
        }
        for one in rows
    ]
