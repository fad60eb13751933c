"""Where a model is strong and weak: its figures by continent, country, size of the city and whatever else metrics.json has."""

from collections.abc import Sequence
from typing import Any

from globe.report import charts
from globe.report.accuracy import Evaluated, median
from globe.report.text import clean, count, known_interval, number, percent, words

MOST_ROWS = 15
"""Of a kind of slice, those with the most pictures."""
TITLES = {"localizable": "whether the picture shows where it is"}
NAMES = {"localizable": {"yes": "it does", "no": "it does not"}}
SHOWN_KM = "25"


def slices(evaluations: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """A chart and a table for each kind of slice that an evaluation has figures of."""
    kinds = list(dict.fromkeys(kind for e in evaluations for kind in _slices(e)))
    return [group for kind in kinds if (group := _group(kind, evaluations))]


def two_columns(groups: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Groups in two columns of about the same length, in their order; one column for one group, none for none."""
    columns: list[list[dict[str, Any]]] = [[], []]
    for group in groups:
        lengths = [sum(len(one["rows"]) + 4 for one in column) for column in columns]
        columns[lengths[1] < lengths[0]].append(group)
    return [column for column in columns if column]


def _slices(evaluation: Evaluated) -> dict[str, dict[str, Any]]:
    found = evaluation.view.metrics.get("slices")
    return found if isinstance(found, dict) else {}


def _group(kind: str, evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    parts = [(e, _slices(e).get(kind) or {}) for e in evaluations]
    names = list(dict.fromkeys(name for _, found in parts for name in found))
    if not names:
        return None
    size = {name: max(number((found.get(name) or {}).get("n")) or 0 for _, found in parts) for name in names}
    shown = names
    if len(names) > MOST_ROWS:
        shown = sorted(names, key=lambda name: -size[name])[:MOST_ROWS]
    rows = []
    for name in shown:
        measured = [(e, found[name]) for e, found in parts if found.get(name)]
        rows.append(
            {
                "name": NAMES.get(kind, {}).get(name) or clean(name, 60),
                "note": f"n = {count(size[name])}",
                "marks": [_mark(e, found) for e, found in measured],
                "figures": [_figures(e, found) for e, found in measured],
            }
        )
    return {"title": TITLES.get(kind) or words(kind), "kind": kind, "rows": rows, "of": len(names)}


def _mark(evaluation: Evaluated, figures: dict[str, Any]) -> dict[str, Any]:
    value = (figures.get("accuracy") or {}).get(SHOWN_KM)
    bounds = (figures.get("ci95") or {}).get(SHOWN_KM)
    return {"mark": charts.mark(evaluation.series, evaluation.name, value, bounds), "text": percent(value)}


def _figures(evaluation: Evaluated, figures: dict[str, Any]) -> dict[str, Any]:
    accuracy, ci95 = figures.get("accuracy") or {}, figures.get("ci95") or {}
    return {
        "series": evaluation.series,
        "evaluation": evaluation.name,
        "n": count(figures.get("n")),
        "shares": [
            {"text": percent(value), "interval": known_interval(ci95.get(key))}
            for value, key in (
                (figures.get("country_match"), "country_match"),
                *((accuracy.get(km), km) for km in (SHOWN_KM, "750")),
            )
        ],
        "median": median(figures),
    }
