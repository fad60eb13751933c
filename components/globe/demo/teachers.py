"""What the simulated teachers say about a picture: pure functions of the teacher, the picture, the truth and the rates.

These teachers don't look at pictures. They know the truth and err at known rates, so that it can be measured what curation
removes and keeps. For a given city the two VLM teachers err independently, and both know famous cities better; but scenes at
dusk are a blind spot that they share: there both take a lesser city for the best known one of its country, so that asking the
other teacher reveals nothing.
"""

import json
import math
import random
from dataclasses import dataclass

from globe.demo.places import CUE_KINDS, CUES, City, all_cities, blank_reasoning
from globe.demo.truth import ErrorRates, Truth

VLM_MODELS = ("toy-vlm-a", "toy-vlm-b")
COORDINATE_MODEL = "toy-coordinates"

_KM_PER_DEGREE = 111.2
_NEIGHBOUR_SHARE = 0.7
"""How many of the wrong countries are the neighbour that looks alike."""


@dataclass(frozen=True)
class VlmAnswer:
    """A VLM teacher's judgement of a picture."""

    localizable: bool
    score: float
    country: str
    city: str
    reasoning: str
    elements: tuple[str, ...]

    def to_json(self) -> str:
        """The content of a chat completion."""
        return json.dumps(
            {
                "localizable": self.localizable,
                "score": self.score,
                "country": self.country,
                "city": self.city,
                "reasoning": self.reasoning,
                "elements": list(self.elements),
            },
            ensure_ascii=False,
        )


def vlm_content(model: str, picture_id: str, truth: Truth, rates: ErrorRates, seed: int) -> str:
    """The content of a VLM teacher's message: JSON, or something else at the rate of malformed replies."""
    rng = random.Random(f"reply {seed} {model} {picture_id}")
    malformed = rng.random() < rates.malformed
    content = vlm_answer(model, picture_id, truth, rates, seed).to_json()
    return _garble(content, rng) if malformed else content


def vlm_answer(model: str, picture_id: str, truth: Truth, rates: ErrorRates, seed: int) -> VlmAnswer:
    """A VLM teacher's judgement of one picture."""
    rng = random.Random(f"vlm {seed} {model} {picture_id}")
    # All are drawn first, needed or not, so that another value of one rate leaves the other errors where they were.
    wrong_judgement = rng.random() < rates.wrong_localizability
    wrong_country = rng.random() < rates.wrong_country
    famous_city = rng.random() < rates.famous_city[truth.fame_rank]
    invents = rng.random() < rates.invented_cue
    if truth.dusk:
        famous_city = in_blind_spot(picture_id, rates, seed) or famous_city
    if not truth.localizable:
        if wrong_judgement:
            guess = rng.choice([city for city in all_cities() if city.fame_rank == 0])
            return _localized(guess, guess.cues, (), _score(rng, 0.5, 0.9))
        return VlmAnswer(False, _score(rng, 0.0, 0.25), "", "", blank_reasoning(truth.cues[0]), tuple(truth.cues))
    cues = tuple(truth.cues)
    if wrong_judgement:
        return VlmAnswer(False, _score(rng, 0.1, 0.45), "", "", blank_reasoning(""), cues)
    place = _city_of(truth)
    if wrong_country:
        place = _other_country(place, rng)
    elif famous_city:
        place = next(city for city in all_cities() if city.country == truth.country and city.fame_rank == 0)
    right = place.name == truth.city and not invents
    score = _score(rng, 0.65, 1.0) if right else _score(rng, 0.5, 0.95)
    if not invents:
        return _localized(place, cues, cues, score)
    # It believes that it sees the invented cue beside all others, and names it in place of a true one.
    kind = rng.randrange(len(CUE_KINDS))
    invented = rng.choice([cue for cue in CUES[CUE_KINDS[kind]] if cue != cues[kind]])
    return _localized(place, (*cues[:kind], invented, *cues[kind + 1 :]), (*cues, invented), score)


def in_blind_spot(picture_id: str, rates: ErrorRates, seed: int) -> bool:
    """Whether every VLM teacher takes this scene at dusk for the best known city of its country."""
    return random.Random(f"blind spot {seed} {picture_id}").random() < rates.blind_spot


def coordinates(picture_id: str, truth: Truth, rates: ErrorRates, seed: int) -> dict[str, float]:
    """The coordinate model's answer: lat_deg, lon_deg (degrees) and confidence (0 to 1)."""
    rng = random.Random(f"coordinates {seed} {picture_id}")
    wrong_judgement = rng.random() < rates.wrong_localizability
    wrong_place = rng.random() < rates.wrong_coordinates
    lat_deg, lon_deg = truth.lat_deg, truth.lon_deg
    if not truth.localizable:
        lat_deg, lon_deg = math.degrees(math.asin(rng.uniform(-0.8, 0.95))), rng.uniform(-180, 180)
    elif wrong_place:
        other = rng.choice([city for city in all_cities() if city.name != truth.city])
        lat_deg, lon_deg = other.lat_deg, other.lon_deg
    spread_deg = rates.coordinate_sigma_km / _KM_PER_DEGREE
    lon_deg += rng.gauss(0, spread_deg) / max(0.1, math.cos(math.radians(lat_deg)))
    lat_deg += rng.gauss(0, spread_deg)
    sure = truth.localizable != wrong_judgement
    return {
        "lat_deg": round(max(-90.0, min(90.0, lat_deg)), 5),
        "lon_deg": round((lon_deg + 180) % 360 - 180, 5),
        "confidence": _score(rng, 0.6, 0.99) if sure else _score(rng, 0.02, 0.3),
    }


def times_out(model: str, picture_id: str, attempt: int, rates: ErrorRates, seed: int) -> bool:
    """Whether this attempt at a picture (counted from 0) gets no answer; the next may get one."""
    return random.Random(f"attempt {seed} {model} {picture_id} {attempt}").random() < rates.timeout


def _localized(place: City, named: tuple[str, ...], seen: tuple[str, ...], score: float) -> VlmAnswer:
    return VlmAnswer(True, score, place.country, place.name, ", ".join(named), seen or named)


def _score(rng: random.Random, low: float, high: float) -> float:
    return round(rng.uniform(low, high), 3)


def _city_of(truth: Truth) -> City:
    return next(city for city in all_cities() if (city.name, city.country) == (truth.city, truth.country))


def _other_country(place: City, rng: random.Random) -> City:
    """A city of the same fame in another country, most often in the one that looks most alike."""
    others = [city for city in all_cities() if city.country != place.country and city.fame_rank == place.fame_rank]
    alike = max(others, key=lambda city: (city.sky == place.sky, len(set(city.cues[1:]) & set(place.cues[1:]))))
    return alike if rng.random() < _NEIGHBOUR_SHARE else rng.choice(others)


def _garble(content: str, rng: random.Random) -> str:
    """A reply that is not the JSON object that was asked for."""
    fields = json.loads(content)
    return rng.choice(
        (
            content[: len(content) // 2],
            f"I believe this was taken in {fields['city'] or 'a place that I cannot name'}.",
            json.dumps({**fields, "score": "very sure"}),
            json.dumps({key: value for key, value in fields.items() if key not in ("localizable", "reasoning")}),
            "",
        )
    )
