"""The other sections of a report, as plain dicts for the templates. Nothing here knows HTML, and no figure is made up."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from globe.curation.funnel import funnel_of
from globe.report import charts, worldmap
from globe.report.accuracy import Evaluated
from globe.report.answers import STATUS_WORDS, UNREAD, Prediction, choose, confusions, on_map, surest_errors
from globe.report.pictures import thumbnails
from globe.report.text import ABSENT, clean, count, duration, kilometres, number, percent, place_or_position, words
from globe.report.views import StageRow

REASONING_LIMIT = 280
"""Characters of a model's reasons that are shown at once."""
WHOLE_LIMIT = 4000
"""Characters of them that the page holds at all."""
FINE_VERDICTS = {"promote", "promoted", "pass", "passed", "accept", "accepted"}
SHOWN = {"right": 20, "wrong": 16, "sure": 10, "unplaced": 10}
KINDS = {"right": "within 25 km", "wrong": "farthest errors", "sure": "surest errors", "unplaced": "no place found"}
TEACHER_KEYS = ("asked", "answered", "malformed", "timeouts")


def maps(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """A map of errors for each evaluation that has predictions; the last one is shown first."""
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
        "bands": [
            f"up to {worldmap.BANDS_KM[0]:,} km",
            *(f"{low:,} to {high:,} km" for low, high in pairwise(worldmap.BANDS_KM)),
            f"over {worldmap.BANDS_KM[-1]:,} km",
        ],
    }


def world() -> dict[str, Any]:
    """The map's background, which is also shown at the top of the page."""
    return {"background": worldmap.gazetteer_background(), "width": worldmap.WIDTH, "height": worldmap.HEIGHT}


def pictures(evaluations: Sequence[Evaluated], source: Path | None, shown: dict[str, int] | None = None) -> dict[str, Any] | None:
    """Cards of pictures from the last evaluation that has predictions, with the earlier answers about the same pictures."""
    with_answers = [e for e in evaluations if e.predictions]
    if not with_answers:
        return None
    last = with_answers[-1]
    assert last.predictions is not None
    most = shown or SHOWN
    chosen = choose(last.predictions, **most)
    surest = {prediction.id for prediction in surest_errors(last.predictions, most.get("sure", 0))}
    urls = thumbnails(source, [prediction.id for prediction in chosen])
    earlier = [(e, {prediction.id: prediction for prediction in e.predictions or []}) for e in with_answers[:-1]]
    cards = []
    for prediction in chosen:
        before = [_answer(e, found[prediction.id]) for e, found in earlier if prediction.id in found]
        card = _card(prediction, urls.get(prediction.id, ""), [*before, _answer(last, prediction)])
        cards.append(card | {"sure": prediction.id in surest})
    counts = Counter(prediction.kind for prediction in last.predictions)
    counts["sure"] = len(surest_errors(last.predictions, len(last.predictions)))
    kinds = [
        {
            "kind": kind,
            "name": name,
            "shown": sum(card["sure"] if kind == "sure" else card["kind"] == kind for card in cards),
            "of": counts[kind],
        }
        for kind, name in KINDS.items()
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
    reasons = prediction.reasoning.strip()
    return {
        "id": clean(prediction.id, 80),
        "image": image,
        "pixels": image.startswith("data:image/png"),
        "kind": prediction.kind,
        "badge": kilometres(prediction.distance_km)
        if prediction.distance_km is not None
        else STATUS_WORDS.get(prediction.status, words(prediction.status)),
        "truth": place_or_position(prediction.truth) or "unknown place",
        "confidence": "" if prediction.confidence is None else f"{100 * prediction.confidence:.0f}%",
        "unlocatable": prediction.truth.get("localizable") is False,
        "answers": answers,
        "reasoning": clean(reasons, REASONING_LIMIT),
        "whole": clean(reasons, WHOLE_LIMIT) if len(reasons) > REASONING_LIMIT else "",
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
    """The funnel with its reasons, the teachers' replies, and what was measured if the truth is known."""
    if not report:
        return None
    splits = {words(name): count(n) for name, n in (report.get("splits") or {}).items()}
    teachers = [
        {"name": clean(name, 120), **{key: count(number(seen.get(key))) for key in TEACHER_KEYS}}
        for name, seen in (report.get("teachers") or {}).items()
    ]
    return {
        "rows": funnel_of(report),
        "splits": splits,
        "pool": count(report["pool"]) if number(report.get("pool")) is not None else "",
        "teachers": teachers,
        "measured": _measured(report.get("measured")),
    }


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
    decided = gate.get("decision") or said  # an inconclusive verdict may still let a model pass, where the rule says so
    return {"said": said, "fine": clean(decided, 60).lower() in FINE_VERDICTS, "reasons": reasons}
