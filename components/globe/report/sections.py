"""What each section of a report says, as plain dicts for the templates. Nothing here knows HTML, and nothing is made up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from globe.evaluation.compare import compare
from globe.geo.distance import THRESHOLDS_KM
from globe.report import charts, worldmap
from globe.report.answers import STATUS_WORDS, UNREAD, Prediction, choose, confusions, on_map, read_predictions, statuses
from globe.report.pictures import thumbnails
from globe.report.text import (
    ABSENT,
    between_kilometres,
    clean,
    count,
    duration,
    interval,
    kilometres,
    limits,
    number,
    percent,
    place_or_position,
    signed,
    words,
)
from globe.report.views import EvaluationView, StageRow

THRESHOLD_WORDS = dict(zip(THRESHOLDS_KM, ("street", "city", "region", "country", "continent"), strict=True))
SERIES = 5
"""How many colours the style sheet holds for evaluations."""
REASONING_LIMIT = 420
FINE_VERDICTS = {"promote", "promoted", "pass", "passed", "accept", "accepted"}
SHOWN = {"right": 20, "wrong": 20, "unplaced": 10}


@dataclass(frozen=True)
class Evaluated:
    """An evaluation with its predictions read; None when their file does not exist."""

    view: EvaluationView
    predictions: list[Prediction] | None
    series: int

    @property
    def name(self) -> str:
        """The evaluation's name, printable."""
        return clean(self.view.name, 60)


def evaluated(views: Sequence[EvaluationView]) -> list[Evaluated]:
    """Read the predictions of each evaluation; the last one has the accent colour whatever their number."""
    read = []
    for order, view in enumerate(views):
        found = read_predictions(view.predictions) if view.predictions.is_file() else None
        from_end = len(views) - 1 - order
        read.append(Evaluated(view, found, max(0, SERIES - 1 - from_end)))
    return read


def headline(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """One sentence and four figures of the last evaluation, each with its interval and its way through training."""
    if not evaluations:
        return None
    last = evaluations[-1].view.metrics
    tiles = [
        _tile("Right country", evaluations, lambda m: m.get("country_match"), "country_match"),
        _tile("Within 25 km", evaluations, lambda m: (m.get("accuracy") or {}).get("25"), "25"),
        _tile("Within 750 km", evaluations, lambda m: (m.get("accuracy") or {}).get("750"), "750"),
        _tile("Median error", evaluations, _median, "median_km", str),
    ]
    return {
        "name": evaluations[-1].name,
        "warnings": [f"{e.name}: {clean(text, 400)}" for e in evaluations for text in e.view.metrics.get("warnings") or []],
        "n": count(last.get("n")),
        "country": percent(last.get("country_match")),
        "near": percent((last.get("accuracy") or {}).get("25")),
        "tiles": tiles,
    }


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


def _median(metrics: dict[str, Any]) -> str:
    """The median error; where half or more of the answers have no place, there is none, and that is said."""
    if number(metrics.get("median_km")) is None:
        return "no median" if metrics.get("n") else ABSENT
    return kilometres(metrics["median_km"])


def accuracy(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """Accuracy at each distance and by name, for each evaluation, as chart rows and as a table."""
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
    extra.append({"name": "median error", "values": [_median(e.view.metrics) for e in evaluations]})
    for name, key, write in (
        ("mean error of placed answers", "mean_km", kilometres),
        ("GeoScore (of 5000)", "geoscore", count),
        ("pictures", "n", count),
    ):
        extra.append({"name": name, "values": [write(e.view.metrics.get(key)) for e in evaluations]})
    series = [{"name": e.name, "series": e.series} for e in evaluations]
    return {"rows": rows, "extra": extra, "series": series, "slices": _slices(evaluations[-1]), "answers": _answers(evaluations)}


def _mark(evaluation: Evaluated, value: Any, key: str) -> dict[str, Any]:
    bounds = (evaluation.view.metrics.get("ci95") or {}).get(key)
    found = charts.mark(evaluation.series, evaluation.name, value, bounds)
    return {"mark": found, "text": percent(value), "interval": interval(bounds, "")}


def _slices(evaluation: Evaluated) -> dict[str, Any] | None:
    """The last evaluation by continent and by city size, where the metrics hold that."""
    groups = []
    for title, parts in (evaluation.view.metrics.get("slices") or {}).items():
        rows = [
            {
                "name": clean(name, 60),
                "n": count(figures.get("n")),
                "shares": [
                    percent(figures.get("country_match")),
                    *(percent((figures.get("accuracy") or {}).get(km)) for km in ("25", "750")),
                ],
                "median": _median(figures),
            }
            for name, figures in parts.items()
        ]
        groups.append({"title": words(title), "rows": rows})
    return {"name": evaluation.name, "groups": groups} if groups else None


def _answers(evaluations: Sequence[Evaluated]) -> list[dict[str, Any]]:
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
            }
            for status, n in statuses(e.predictions)
        ]
        rows.append({"name": e.name, "series": e.series, "parts": parts})
    return rows


def changes(evaluations: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """Paired differences between each evaluation and the one before it, where both answered the same pictures."""
    rows = []
    for before, after in pairwise(evaluations):
        if before.predictions and after.predictions and _ids(before) == _ids(after):
            found = compare(_records(before), _records(after))
            by_distance = found.get("accuracy") or {}
            cells = [_change(f"within {km:,} km", by_distance.get(str(km))) for km in THRESHOLDS_KM]
            cells.append(_change("right country", found.get("country_match")))
            rows.append({"name": f"{before.name} → {after.name}", "cells": cells})
    return rows


def _records(evaluation: Evaluated) -> list[dict[str, Any]]:
    return [prediction.record for prediction in evaluation.predictions or []]


def _ids(evaluation: Evaluated) -> set[str]:
    return {prediction.id for prediction in evaluation.predictions or []}


def _change(name: str, found: dict[str, Any] | None) -> dict[str, str]:
    """`kind` is up or down only where the interval leaves zero out."""
    change = number((found or {}).get("difference"))
    if found is None or change is None:
        return {"name": name, "text": ABSENT, "interval": "", "kind": "open"}
    bounds = limits(found.get("ci95"))
    kind = "open" if bounds is None or bounds[0] <= 0 <= bounds[1] else "up" if change > 0 else "down"
    spread = "" if bounds is None else f"{signed(bounds[0])} to {signed(bounds[1])}"
    return {"name": name, "text": signed(change), "interval": spread, "kind": kind}


def maps(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """A map of errors for each evaluation whose predictions are there; the last one is shown first."""
    drawn = []
    for e in evaluations:
        if e.predictions:
            answers = on_map(e.predictions)
            if answers:
                drawn.append(
                    {
                        "name": e.name,
                        "series": e.series,
                        "map": worldmap.error_map(answers),
                        "confusions": [
                            {"truth": truth, "answer": answer, "times": times, "distance": kilometres(km)}
                            for truth, answer, times, km in confusions(e.predictions)
                        ],
                    }
                )
    if not drawn:
        return None
    return {
        "drawn": drawn,
        "bands": ["up to 200 km", "200 to 750 km", "750 to 2,500 km", "over 2,500 km"],
    }


def world() -> dict[str, Any]:
    """The map's background, which the page's head shows too."""
    return {"background": worldmap.gazetteer_background(), "width": worldmap.WIDTH, "height": worldmap.HEIGHT}


def pictures(evaluations: Sequence[Evaluated], source: Path | None, shown: dict[str, int] | None = None) -> dict[str, Any] | None:
    """Cards of pictures of the last evaluation that has predictions, with what the earlier ones said of the same picture."""
    with_answers = [e for e in evaluations if e.predictions]
    if not with_answers:
        return None
    last = with_answers[-1]
    assert last.predictions is not None
    chosen = choose(last.predictions, **(shown or SHOWN))
    urls = thumbnails(source, [prediction.id for prediction in chosen])
    earlier = [(e, {prediction.id: prediction for prediction in e.predictions or []}) for e in with_answers[:-1]]
    cards = []
    for prediction in chosen:
        before = [_answer(e, found[prediction.id]) for e, found in earlier if prediction.id in found]
        cards.append(_card(prediction, urls.get(prediction.id, ""), [*before, _answer(last, prediction)]))
    counts = {kind: sum(prediction.kind == kind for prediction in last.predictions) for kind in SHOWN}
    kinds = [
        {"kind": kind, "name": name, "shown": sum(card["kind"] == kind for card in cards), "of": counts[kind]}
        for kind, name in (("right", "within 25 km"), ("wrong", "farthest errors"), ("unplaced", "no place found"))
    ]
    return {"name": last.name, "cards": cards, "kinds": kinds, "lost": sum(not card["image"] for card in cards)}


def _answer(evaluation: Evaluated, prediction: Prediction) -> dict[str, Any]:
    return {
        "series": evaluation.series,
        "evaluation": evaluation.name,
        "kind": prediction.kind,
        "name": prediction.answer_name or STATUS_WORDS.get(prediction.status, words(prediction.status)),
        "distance": "" if prediction.distance_km is None else kilometres(prediction.distance_km),
        "named": bool(prediction.answer_name),
    }


def _card(prediction: Prediction, image: str, answers: list[dict[str, Any]]) -> dict[str, Any]:
    readable = prediction.status not in UNREAD
    return {
        "id": clean(prediction.id, 80),
        "image": image,
        "pixels": image.startswith("data:image/png"),
        "kind": prediction.kind,
        "badge": kilometres(prediction.distance_km)
        if prediction.distance_km is not None
        else STATUS_WORDS.get(prediction.status, words(prediction.status)),
        "truth": place_or_position(prediction.truth) or "unknown place",
        "unlocatable": prediction.truth.get("localizable") is False,
        "answers": answers,
        "reasoning": clean(prediction.reasoning, REASONING_LIMIT),
        "readable": readable,
    }


def rewards(log: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The reward curve and one small curve for each single reward."""
    main, parts = charts.reward_curves(log)
    if main is None:
        return None
    rise = main.last_mean - main.first_mean
    return {"main": main, "parts": parts, "rise": f"{rise:+.3f}".replace("-", "−")}


def curation(report: dict[str, Any] | None) -> dict[str, Any] | None:
    """The funnel with reasons, the teachers' replies, and what was measured where the truth is known."""
    if not report:
        return None
    removed = [(words(reason), int(n)) for reason, n in (report.get("quarantined") or {}).items() if n]
    removed += sorted(((words(why), int(n)) for why, n in (report.get("dropped") or {}).items() if n), key=lambda x: -x[1])
    splits = {words(name): count(n) for name, n in (report.get("splits") or {}).items()}
    teachers = [
        {"name": clean(name, 120), **{key: count(number(seen.get(key))) for key in TEACHER_KEYS}}
        for name, seen in (report.get("teachers") or {}).items()
    ]
    rows = charts.funnel(int(report.get("in") or 0), removed, int(report.get("kept") or 0), "not counted")
    return {
        "rows": [{"row": row, "count": count(row.count)} for row in rows],
        "splits": splits,
        "pool": count(report["pool"]) if number(report.get("pool")) is not None else "",
        "teachers": teachers,
        "measured": _measured(report.get("measured")),
    }


TEACHER_KEYS = ("asked", "answered", "malformed", "timeouts")


def _measured(measured: dict[str, Any] | None) -> dict[str, str] | None:
    if not measured:
        return None
    shares = {key: number(measured.get(key)) for key in ("wrong_removed_share", "right_kept_share")}
    return {key: ABSENT if share is None else percent(100 * share) for key, share in shares.items()} | {
        key: count(measured.get(key)) for key in ("wrong_annotations", "wrong_removed", "right_annotations", "right_kept")
    }


def stages(rows: Sequence[StageRow]) -> list[dict[str, Any]]:
    """The stages with their time, also as a share of the longest one."""
    longest = max((row.seconds for row in rows), default=0.0) or 1.0
    return [
        {
            "name": words(row.name),
            "status": row.status,
            "time": ABSENT if row.status == "skipped" or (row.status == "failed" and not row.seconds) else duration(row.seconds),
            "share": 0 if row.status == "skipped" else 100 * row.seconds / longest,
            "figure": clean(row.figure, 300),
            "output": clean(row.output),
        }
        for row in rows
    ]


def verdict(gate: dict[str, Any] | None) -> dict[str, Any] | None:
    """The gate's verdict and its reasons."""
    if not gate:
        return None
    said = clean(gate.get("verdict"), 60)
    reasons = [clean(reason, 400) for reason in gate.get("reasons") or []]
    return {"said": said, "fine": said.lower() in FINE_VERDICTS, "reasons": reasons}
