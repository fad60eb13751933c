"""How fast the text rewards are: completions a second through all of them together, on one core.

``python tests/benchmarks/bench_rewards.py [--json]``. Every completion is different and about 300 tokens (230 words)
long, in groups of eight for one row as GRPO samples them, 64 at a time: each reward scores the whole batch before the next
one does, as ms-swift asks. What earlier rounds found out about places is forgotten before each round.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from globe.answer.render import render
from globe.geo.gazetteer import gazetteer
from globe.rewards import REWARDS

TARGET_PER_S = 2_000
COMPLETIONS = 2_000
GROUP = 8
BATCH = 64
ROUNDS = 5
CITIES = 2_000
"""So most answers name a place that no answer named before. In a GRPO run of the demo 81% of 3,904 named one that an earlier
answer had named; in a run over real photos answers crowd on large cities."""
WORDS = 225

SENTENCES = """
The image shows a quiet square in front of a white church whose tall steeple is topped by a copper spire.
Red tiled roofs stretch down towards the sea, and several boats are moored along the stone pier.
Palm trees line the promenade, which suggests a mild coastal climate without severe winters.
A yellow tram climbs a narrow street paved with small cobblestones between pastel facades.
There is no snow on the mountains behind, so the season is probably late spring or summer.
Wooden shutters and wrought iron balconies are typical of southern European town houses.
Two parked cars have long license plates with a blue band, common inside the European Union.
The lettering above the shop looks Latin, although individual words cannot be read clearly.
People wear light clothing while a cyclist crosses the bridge over what appears to be a canal.
Dense green vegetation covers the hillside, broken only by terraces planted with vines.
Traffic keeps to the right, as the bus stop and the direction arrows painted on asphalt indicate.
In the distance one notices a modern skyscraper beside cranes, hinting at rapid economic growth.
Fishing nets dry beside a kiosk where somebody sells fruit under a striped umbrella.
The soft afternoon light falls from the left, throwing long shadows across the empty beach.
An old fortress with round towers dominates the ridge above this harbor district.
Street lamps carry baskets full of flowers, a habit of carefully maintained historic centers.
Neither minarets nor pagodas are visible, which makes many Asian regions less likely.
A fountain decorated by marble lions occupies the middle of a spacious pedestrian plaza.
Corrugated metal shacks stand close together near muddy tracks leading into farmland.
Volcanic rocks and black sand point to an island rather than to continental geology.
The river bends around medieval walls, and stone steps lead visitors down to its bank.
Colorful prayer flags hang between poles next to a small temple guarded by statues.
Tall conifers, a calm lake and snow covered peaks recall alpine or northern landscapes.
Overhead wires, tangled around concrete poles, are characteristic for many tropical cities.
The flag on the public building shows three vertical stripes, yet its colors remain uncertain.
Bicycles lean against a brick wall under gabled windows painted in contrasting tones.
Sheep graze beyond dry stone fences, recalling windswept uplands with frequent rain.
Motorbikes fill the junction, while food stalls send steam into humid evening air.
Considering everything together, these clues narrow the possible countries down considerably.
Compared with neighbouring places, the architecture here feels more formal and imperial.
""".strip().splitlines()


def completions(count: int, seed: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """Different completions of about 230 words, each with its row."""
    rng = random.Random(seed)
    gaz = gazetteer()
    large = sorted(gaz, key=lambda p: -p.population)[:CITIES]
    pairs = []
    row: dict[str, Any] = {}
    sentences = list(SENTENCES)
    for i in range(count):
        if i % GROUP == 0:
            true = rng.choice(large)
            solution = {
                "country": gaz.countries[true.country_code]["name"],
                "city": true.name,
                "lat_deg": true.lat_deg,
                "lon_deg": true.lon_deg,
            }
            row = {
                "solution": solution,
                "entities": rng.sample(
                    ["palm tree", "red roof", "white church", "tram", "bridge", "street sign", "mountain", "boat"], 5
                ),
            }
        rng.shuffle(sentences)
        words, text = 0, []
        for sentence in sentences:
            text.append(sentence)
            words += len(sentence.split())
            if words >= WORDS:
                break
        guess = rng.choice(large) if rng.random() < 0.6 else true
        pairs.append((render(" ".join(text), gaz.countries[guess.country_code]["name"], guess.name), row))
    return pairs


def completions_per_s(pairs: list[tuple[str, dict[str, Any]]]) -> float:
    """Completions a second of processor time."""
    for module in [module for name, module in sys.modules.items() if name.startswith(("globe.geo.", "globe.rewards."))]:
        for known in vars(module).values():
            if known is not gazetteer and hasattr(known, "cache_clear"):
                known.cache_clear()
    start = time.process_time()
    for first in range(0, len(pairs), BATCH):
        for score in REWARDS.values():
            for completion, row in pairs[first : first + BATCH]:
                score(completion, row)
    return len(pairs) / (time.process_time() - start)


def measure() -> dict[str, int]:
    """Figures of this benchmark: the best of some rounds over different texts is the core undisturbed."""
    gazetteer()
    return {"completions_per_s": round(max(completions_per_s(completions(COMPLETIONS, seed)) for seed in range(ROUNDS)))}


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "rewards", "figures": figures}))
        return
    print(f"completions a second, all {len(REWARDS)} text rewards, one core: {figures['completions_per_s']:,}")
    print(f"at least {TARGET_PER_S:,} are asked")


if __name__ == "__main__":
    main()
