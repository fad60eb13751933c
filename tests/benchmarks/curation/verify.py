"""How fast the rules judge: pictures a second on one core, each with three VLMs' replies, a position and what was segmented.

``python tests/benchmarks/curation/rules/verify.py [--json]``. The replies are made up: places of the gazetteer, large ones more
often, as photos on the web have it; every reasoning is different, two sentences long, as teachers are asked for, and one in
ten names something that it does not list. What was looked up before is forgotten before each round. ``verify_rows_per_s`` is
`judge` alone, ``verify_with_parsing_rows_per_s`` also reads the records from the journal's lines. Both count processor time of
this process; what else runs on the machine slows them less than it slows the clock.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from functools import cache

from globe.curation.recipe import CurationRecipe
from globe.curation.rules import elements, places
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.verify import judge
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.teachers.replies import CoordinateReply, Record, SegmentationReply, VlmReply
from globe.geo import normalize
from globe.geo.countries import country_and_region
from globe.geo.gazetteer import gazetteer
from globe.geo.places import find_place
from globe.geo.verdict import Truth, true_place

TARGET_PER_S = 5_000
PICTURES = 4_000
QUICK = {"count": 500}
ROUNDS = 3
CITIES = 2_000
"""MP16-Reason has 1,944 in 33,721 training pictures, so that there most cities come up far more often than here."""
VLMS = ("vlm-a", "vlm-b", "vlm-c")
SIZES = ("", "tall", "small", "narrow", "wide", "old", "modern", "wooden", "stone", "tiled", "painted", "crowded")
COLOURS = ("", "", "red", "white", "yellow", "green", "blue", "dark grey")
THINGS = """
building,tree,palm tree,church,tower,street sign,shop sign,balcony,tram,bus,car,taxi,bicycle,traffic light,bridge,river,mountain,
beach,boat,statue,square,fountain,temple,mosque,minaret,flag,lamp post,tiled roof,window shutter,cobblestone street,market stall,
license plate,vineyard,cactus,cliff,lighthouse,harbor,canal,stadium,skyscraper,fence,hedge,snow,desert,rice field,castle
""".replace("\n", "").split(",")
SENTENCES = (
    "The picture shows {} beside {}, with {} and {} in the background.",
    "There are {} and {}, while {} can be seen farther away, next to {}.",
    "One notices {} along the road, {} and, behind them, {} and {}.",
)
CONCLUSIONS = (
    "Together with the lettering on the signs and the way the streets are laid out this points to {}, {}.",
    "No snow is visible, and the light and the vegetation suggest a mild climate, as it is common around {} in {}.",
    "The style of the facades is typical of the region, so the most likely place is {}, {}, rather than its neighbours.",
)
CLASSES = (
    "building, edifice",
    "tree",
    "palm, palm tree",
    "sky",
    "road, route",
    "car, auto",
    "bus, autobus",
    "tower",
    "signboard, sign",
)


@cache
def pictures(count: int) -> list[tuple[Truth, list[str]]]:
    """Truth and journal lines of made-up pictures, the same in every process."""
    rng = random.Random(16)
    known = rng.sample([place for place in gazetteer() if place.population > 5_000], CITIES)
    weights = [place.population**0.5 for place in known]
    names = gazetteer().countries
    made = []
    for number in range(count):
        place, *elsewhere = rng.choices(known, weights, k=3)
        lat, lon = place.lat_deg + rng.gauss(0, 0.02), (place.lon_deg + rng.gauss(0, 0.02) + 180) % 360 - 180
        lat = max(-90.0, min(90.0, lat))
        shown = [_phrase(rng) for _ in range(10)]
        records = []
        for vlm in VLMS:
            guess = place if rng.random() < 0.8 else rng.choice(elsewhere)
            listed = rng.sample(shown, 8)
            claimed = rng.sample(listed, 4) if rng.random() < 0.9 else [*rng.sample(listed, 3), _phrase(rng)]
            country = names[guess.country_code]["name"]
            said = rng.choice(SENTENCES).format(*claimed)
            reply = VlmReply(
                localizable=rng.random() < 0.95, score=round(rng.uniform(0.4, 1), 2), country=country, city=guess.name,
                reasoning=f"{said} {rng.choice(CONCLUSIONS).format(guess.name, country)}", elements=listed,
            )  # fmt: skip
            records.append(_record(number, vlm, vlm=reply))
        position = CoordinateReply(lat_deg=lat, lon_deg=lon, confidence=0.8)
        shares = dict.fromkeys(rng.sample(CLASSES, 4), 0.1)
        records.append(_record(number, "geo", coordinates=position))
        records.append(
            _record(number, "eyes", segmentation=SegmentationReply(shares=shares, known=[] if number else list(CLASSES)))
        )
        truth = Truth(names[place.country_code]["name"], place.name, lat, lon)
        made.append((truth, [record.model_dump_json(exclude_defaults=True) for record in records]))
    return made


def _phrase(rng: random.Random) -> str:
    return " ".join(word for word in (rng.choice(SIZES), rng.choice(COLOURS), rng.choice(THINGS)) if word)


def _record(number: int, teacher: str, **reply: object) -> Record:
    key = random.Random(f"{number} {teacher}").randbytes(16).hex()
    return Record(id=f"{number:09d}", teacher=teacher, key=key, status="ok", attempts=1, **reply)


def forget() -> None:
    """Empty every cache, so that a round starts as a process does."""
    judged = (elements.element_of, places.is_true_place, places.judge_place, true_place)
    for cached in (*judged, find_place, country_and_region, normalize._key):
        cached.cache_clear()


def round_s(count: int) -> tuple[float, float]:
    """Processor seconds of judging so many pictures, and of reading their records."""
    recipe, vocabulary = CurationRecipe(min_shared_cues=0.3), Vocabulary()
    for _, lines in pictures(count):
        for line in lines:
            vocabulary.learn(Record.model_validate_json(line))
    vocabulary.shared()
    forget()
    gc.collect()
    started = time.process_time()
    parsed = [(truth, Evidence.of(map(Record.model_validate_json, lines))) for truth, lines in pictures(count)]
    read = time.process_time()
    kept = sum(judge(truth, evidence, vocabulary, recipe).best is not None for truth, evidence in parsed)
    judged = time.process_time()
    assert 0 < kept < len(parsed)
    return judged - read, read - started


def figures(count: int = PICTURES) -> dict[str, float]:
    """Pictures a second, of the fastest of the rounds: what else the machine does only ever slows one."""
    rounds = [round_s(count) for _ in range(ROUNDS)]
    return {
        "verify_rows_per_s": round(count / min(judging for judging, _ in rounds)),
        "verify_with_parsing_rows_per_s": round(count / min(map(sum, rounds))),
    }


if __name__ == "__main__":
    found = figures()
    print(json.dumps(found) if "--json" in sys.argv else "\n".join(f"{name} {value:,.0f}" for name, value in found.items()))
