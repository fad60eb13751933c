"""What became of the answers: how many could be placed, what the others lack, and why calls failed."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from globe.report.accuracy import Evaluated
from globe.report.answers import STATUS_WORDS, statuses
from globe.report.text import clean, count, percent, words

MOST_ERRORS = 10
ERROR_LIMIT = 300


def answers(evaluations: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """For each evaluation with predictions: how many answers have each status, and which errors calls ended with."""
    rows = []
    for e in evaluations:
        if not e.predictions:
            continue
        total = len(e.predictions)
        parts = [
            {
                "style": status if status in STATUS_WORDS else "other",
                "name": STATUS_WORDS.get(status, words(status)),
                "count": n,
                "share": 100 * n / total,
                "percent": percent(100 * n / total),
            }
            for status, n in statuses(e.predictions)
        ]
        rows.append(
            {
                "name": e.name,
                "series": e.series,
                "n": count(total),
                "parts": parts,
                "country_level": _country_level(e),
                "errors": _errors(e),
            }
        )
    return rows


def _country_level(evaluation: Evaluated) -> dict[str, str] | None:
    """How many answers have only their country's position."""
    found = evaluation.view.metrics.get("country_level")
    if not isinstance(found, dict) or not found.get("count"):
        return None
    lost = found.get("city_not_found")
    return {
        "count": count(found["count"]),
        "percent": percent(found.get("percent")),
        "city_not_found": count(lost) if lost else "",
    }


def _errors(evaluation: Evaluated) -> list[dict[str, str]]:
    """Why calls failed, the most frequent first: as metrics.json has it, else from the predictions."""
    found = evaluation.view.metrics.get("errors")
    if not isinstance(found, dict):
        records = evaluation.view.predictions or []
        failed = (record for record in records if record.get("status") == "call_failed")
        found = dict(Counter(str(record.get("error") or "no reason recorded") for record in failed).most_common(MOST_ERRORS))
    return [{"reason": clean(reason, ERROR_LIMIT), "count": count(n)} for reason, n in list(found.items())[: MOST_ERRORS + 1]]
