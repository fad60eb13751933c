"""A report's figures: the headline, accuracy by distance and by name, and what changed from one evaluation to the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from globe.geo.distance import THRESHOLDS_KM
from globe.report import charts
from globe.report.answers import Prediction, prediction_of
from globe.report.text import (
    ABSENT,
    between_kilometres,
    clean,
    count,
    interval,
    kilometres,
    known_interval,
    limits,
    number,
    percent,
    signed,
)
from globe.report.views import EvaluationView

THRESHOLD_WORDS = {1: "street", 25: "city", 200: "region", 750: "country", 2500: "continent"}
SERIES = 5
"""How many colours the style sheet holds for evaluations."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation with its predictions as readers see them (None if there are none) and its colour."""

    view: EvaluationView
    predictions: list[Prediction] | None
    series: int

    @property
    def name(self) -> str:
        """The evaluation's name, printable."""
        return clean(self.view.name, 60)


def evaluated(views: Sequence[EvaluationView]) -> list[Evaluated]:
    """Evaluations with their colours; the last one always has the accent colour."""
    read = []
    for order, view in enumerate(views):
        found = None if view.predictions is None else [prediction_of(record) for record in view.predictions]
        from_end = len(views) - 1 - order
        read.append(Evaluated(view, found, max(0, SERIES - 1 - from_end)))
    return read


def headline(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """One sentence and four figures of the last evaluation, each with its interval and its values before that."""
    if not evaluations:
        return None
    last = evaluations[-1].view.metrics
    tiles = [
        _tile("Right country", evaluations, lambda m: m.get("country_match"), "country_match"),
        _tile("Within 25 km", evaluations, lambda m: (m.get("accuracy") or {}).get("25"), "25"),
        _tile("Within 750 km", evaluations, lambda m: (m.get("accuracy") or {}).get("750"), "750"),
        _tile("Median error", evaluations, median, "median_km", str),
    ]
    return {
        "name": evaluations[-1].name,
        "warnings": [f"{e.name}: {clean(text, 400)}" for e in evaluations for text in e.view.metrics.get("warnings") or []],
        "n": count(last.get("n")),
        "country": percent(last.get("country_match")),
        "near": percent((last.get("accuracy") or {}).get("25")),
        "tiles": tiles,
        "expected": [said for e in evaluations if (said := _expected(e))],
    }


def _expected(evaluation: Evaluated) -> str:
    """What was said beforehand about the share within 25 km, and what came of it."""
    found = evaluation.view.metrics.get("expected")
    bounds = limits(found.get("within_25_km_percent")) if isinstance(found, dict) else None
    if bounds is None or not isinstance(found, dict):
        return ""
    measured = percent(found.get("measured_percent"))
    spread = f", 95%: {known_interval(found.get('ci95'))}" if limits(found.get("ci95")) else ""
    told = "" if measured == ABSENT else f", measured {measured}{spread} (n = {count(found.get('n'))})"
    outcome = clean(found.get("outcome"), 200)
    return f"{evaluation.name}: expected beforehand {interval(bounds)} within 25 km{told}{f': {outcome}' if outcome else ''}"


def _tile(
    name: str,
    evaluations: Sequence[Evaluated],
    get: Callable[[dict[str, Any]], Any],
    key: str,
    write: Callable[[Any], str] = percent,
) -> dict[str, Any]:
    path = [{"name": e.name, "series": e.series, "text": write(get(e.view.metrics))} for e in evaluations]
    bounds = (evaluations[-1].view.metrics.get("ci95") or {}).get(key)
    spread = interval(bounds) if write is percent else between_kilometres(bounds)
    return {"name": name, "text": path[-1]["text"], "interval": "" if spread == ABSENT else spread, "path": path[:-1]}


def median(metrics: dict[str, Any]) -> str:
    """The median error as text, or "no median" if half or more of the answers have no place."""
    if number(metrics.get("median_km")) is None:
        return "no median" if metrics.get("n") else ABSENT
    return kilometres(metrics["median_km"])


def accuracy(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """Accuracy of each evaluation at each distance and by name, as chart rows and as a table."""
    if not evaluations:
        return None
    rows = []
    for km in THRESHOLDS_KM:
        marks = [_mark(e, (e.view.metrics.get("accuracy") or {}).get(str(km)), str(km)) for e in evaluations]
        rows.append({"name": f"within {km:,} km", "note": THRESHOLD_WORDS[km], "marks": marks})
    for key, name, note in (("country_match", "right country", "by name"), ("city_match", "right city", "by name")):
        marks = [_mark(e, e.view.metrics.get(key), key) for e in evaluations]
        rows.append({"name": name, "note": note, "marks": marks})
    extra = []
    extra.append({"name": "median error", "values": [median(e.view.metrics) for e in evaluations]})
    for name, key, write in (
        ("mean error of placed answers", "mean_km", kilometres),
        ("GeoScore (of 5000)", "geoscore", count),
        ("pictures", "n", count),
    ):
        extra.append({"name": name, "values": [write(e.view.metrics.get(key)) for e in evaluations]})
    series = [{"name": e.name, "series": e.series, "n": count(e.view.metrics.get("n"))} for e in evaluations]
    return {"rows": rows, "extra": extra, "series": series}


def _mark(evaluation: Evaluated, value: Any, key: str) -> dict[str, Any]:
    bounds = (evaluation.view.metrics.get("ci95") or {}).get(key)
    found = charts.mark(evaluation.series, evaluation.name, value, bounds)
    return {"mark": found, "text": percent(value), "interval": interval(bounds, "")}


def changes(evaluations: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """Paired differences between each evaluation and the one that it was compared with, on the same pictures."""
    rows = []
    for before, after in pairwise(evaluations):
        found = after.view.change
        if found:
            by_distance = found.get("accuracy") or {}
            cells = [_change(f"within {km:,} km", by_distance.get(str(km))) for km in THRESHOLDS_KM]
            cells.append(_change("right country", found.get("country_match")))
            than = clean(after.view.against, 60) or before.name
            rows.append({"name": f"{than} → {after.name}", "n": count(found.get("n")), "cells": cells})
    return rows


def _change(name: str, found: dict[str, Any] | None) -> dict[str, str]:
    """One difference; its `kind` is up or down only if the interval excludes zero."""
    change = number((found or {}).get("difference"))
    if found is None or change is None:
        return {"name": name, "text": ABSENT, "interval": "", "kind": "open"}
    bounds = limits(found.get("ci95"))
    kind = "open" if bounds is None or bounds[0] <= 0 <= bounds[1] else "up" if change > 0 else "down"
    spread = "" if bounds is None else f"{signed(bounds[0])} to {signed(bounds[1])}"
    return {"name": name, "text": signed(change), "interval": spread, "kind": kind}
