"""Models' answers as readers see them, and the choice of answers worth showing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from globe.answer.parse import parse
from globe.geo.distance import counted_km
from globe.report.text import clean, number, place_or_position
from globe.report.worldmap import RIGHT_KM, Answered

STATUS_WORDS = {
    "ok": "placed on the map",
    "not_geocoded": "place not in the gazetteer",
    "not_parsed": "answer not readable",
    "no_answer": "no answer given",
    "cut_off": "answer cut off",
    "call_failed": "call failed",
}
"""What each status of a prediction means, the most interesting ones first."""
UNREAD = ("not_parsed", "no_answer", "cut_off")
"""Statuses of predictions whose text yielded no answer."""


@dataclass(frozen=True)
class Prediction:
    """One answer and its truth, from a record of predictions.jsonl."""

    id: str
    status: str
    text: str
    city: str
    country: str
    position_deg: tuple[float, float] | None
    distance_km: float | None
    truth: dict[str, Any]
    level: str = ""
    """"country" if the position is only that of the country."""
    confidence: float | None = None
    """The answer's probability, else the share of sampled answers that agree with it, from 0 to 1; None if neither is known."""

    @property
    def kind(self) -> str:
        """right (within 25 km), wrong, or unplaced (nothing to put on a map)."""
        if self.distance_km is None:
            return "unplaced"
        return "right" if counted_km(self.distance_km, self.level) <= RIGHT_KM else "wrong"

    @property
    def names_place(self) -> bool:
        """Whether the answer says more than a country."""
        return self.distance_km is not None and self.level != "country"

    @property
    def answer_name(self) -> str:
        """The place that the model named, or its coordinates; empty if it named none."""
        lat, lon = self.position_deg or (None, None)
        return place_or_position({"city": self.city, "country": self.country, "lat_deg": lat, "lon_deg": lon})

    @property
    def truth_name(self) -> str:
        """Where the picture was taken."""
        return place_or_position(self.truth) or "an unknown place"

    @property
    def reasoning(self) -> str:
        """The model's reasons; its whole text if no answer could be read from it."""
        if self.status in UNREAD:
            return self.text
        return parse(self.text).reasoning or ""


def prediction_of(record: Mapping[str, Any]) -> Prediction:
    """A record as readers see it; missing fields are empty."""
    return Prediction(
        id=str(record["id"]),
        status=str(record.get("status") or "ok"),
        text=str(record.get("answer") or record.get("error") or ""),
        city=str(record.get("city") or ""),
        country=str(record.get("country") or ""),
        position_deg=_position(record),
        distance_km=number(record.get("distance_km")),
        truth=dict(record.get("truth") or {}),
        level=str(record.get("level") or ""),
        confidence=_confidence(record),
    )


def _confidence(record: Mapping[str, Any]) -> float | None:
    known = (number(record.get(name)) for name in ("confidence", "agreement"))
    return next((value for value in known if value is not None and 0 <= value <= 1), None)


def _position(where: Mapping[str, Any]) -> tuple[float, float] | None:
    lat, lon = number(where.get("lat_deg")), number(where.get("lon_deg"))
    return None if lat is None or lon is None else (lat, lon)


def on_map(predictions: Iterable[Prediction]) -> list[Answered]:
    """The predictions whose truth has a position, in the form that the map takes."""
    answered = []
    for prediction in predictions:
        truth_deg = _position(prediction.truth)
        if truth_deg is not None:
            names = clean(prediction.truth_name, 60), clean(prediction.answer_name, 60)
            right = prediction.kind == "right"
            answered.append(Answered(names[0], truth_deg, names[1], prediction.position_deg, prediction.distance_km, right))
    return answered


def statuses(predictions: Sequence[Prediction]) -> list[tuple[str, int]]:
    """How many answers have each status, in the order of `STATUS_WORDS`, others after them."""
    found = Counter(prediction.status for prediction in predictions)
    order = [*STATUS_WORDS, *sorted(set(found) - set(STATUS_WORDS))]
    return [(status, found[status]) for status in order if found[status]]


def confusions(predictions: Sequence[Prediction], most: int = 8) -> list[tuple[str, str, int, float]]:
    """The most frequent errors: truth, answer, how often, and how far (km)."""
    found: Counter[tuple[str, str]] = Counter()
    distance: dict[tuple[str, str], float] = {}
    for prediction in predictions:
        if prediction.kind == "wrong" and prediction.answer_name:
            pair = clean(prediction.truth_name, 60), clean(prediction.answer_name, 60)
            found[pair] += 1
            distance[pair] = max(distance.get(pair, 0.0), prediction.distance_km or 0.0)
    ranked = sorted(found.items(), key=lambda item: (-item[1], -distance[item[0]], item[0]))
    return [(truth, answer, times, distance[truth, answer]) for (truth, answer), times in ranked[:most]]


def surest_errors(predictions: Sequence[Prediction], most: int) -> list[Prediction]:
    """The errors that the model was surest of: wrong places, by falling confidence, then by falling distance."""
    known = [p for p in predictions if p.kind == "wrong" and p.names_place and p.confidence is not None]
    return sorted(known, key=lambda p: (-(p.confidence or 0.0), -(p.distance_km or 0.0), p.id))[:most]


def choose(predictions: Sequence[Prediction], right: int, wrong: int, unplaced: int, sure: int = 0) -> list[Prediction]:
    """Pick predictions to show: right ones from as many places as possible, the farthest and the surest errors, some unplaced.

    The choice depends on the predictions only, so that a report written twice shows the same pictures.
    """
    by_kind: dict[str, list[Prediction]] = {"right": [], "wrong": [], "unplaced": []}
    for prediction in sorted(predictions, key=lambda prediction: prediction.id):
        by_kind[prediction.kind].append(prediction)
    farthest = sorted(by_kind["wrong"], key=lambda prediction: -(prediction.distance_km or 0.0))
    errors = _spread(farthest, wrong, per_place=2)
    shown = {prediction.id for prediction in errors}
    errors += [prediction for prediction in surest_errors(predictions, sure) if prediction.id not in shown]
    return _spread(by_kind["right"], right) + errors + _spread(by_kind["unplaced"], unplaced)


def _spread(predictions: list[Prediction], most: int, per_place: int = 0) -> list[Prediction]:
    """Take the first prediction of each true place, then the second of each, and so on.

    With `per_place`, that many predictions of a place are taken in each turn; 0 means one.
    """
    seen: Counter[str] = Counter()
    rounds = []
    for order, prediction in enumerate(predictions):
        rounds.append((seen[prediction.truth_name], order, prediction))
        seen[prediction.truth_name] += 1
    if per_place:
        rounds = [(turn // per_place, order, prediction) for turn, order, prediction in rounds]
    chosen = sorted(rounds, key=lambda item: item[:2])[:most]
    return [prediction for *_, prediction in chosen]
