"""How fast the text rewards are: completions a second through all of them together, on one core.

``python tests/benchmarks/bench_rewards.py [--json]``. Every completion is different and about 300 tokens (230 words) long, as GRPO
samples them; each is scored with all eight text rewards against its row.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from globe.geo.answer import render
from globe.geo.gazetteer import gazetteer
from globe.rewards import REWARDS

TARGET_PER_S = 20_000
COMPLETIONS = 2_000
GROUP = 16
ROUNDS = 5

OPENINGS = ("The image shows", "In the foreground there is", "To the left I can see", "Behind it stands", "Further away one notices", "There are also")
THINGS = (
    "a white church with a tall steeple", "palm trees along the beach", "red tiled roofs", "a yellow tram", "several parked cars", "a stone bridge over the river",
    "snowy mountains", "a narrow cobblestone street", "green fields with a wooden fence", "a modern glass skyscraper", "boats in the harbor", "a market with fruit stalls",
)  # fmt: skip
COMMENTS = (
    "which is typical of the region", "and this suggests a temperate climate", "but no clear writing can be read", "so the architecture points to the south",
    "although the light is soft and the weather overcast", "which narrows the candidates down considerably", "while the vegetation looks rather dry",
    "and the style of the windows reminds of the nineteenth century", "which makes a coastal town more likely than an inland one",
)  # fmt: skip


def completions(count: int, seed: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """Different completions of about 230 words, each with its row."""
    rng = random.Random(seed)
    gaz = gazetteer()
    large = sorted(gaz, key=lambda p: -p.population)[:2000]
    pairs = []
    row: dict[str, Any] = {}
    for i in range(count):
        if i % GROUP == 0:
            true = rng.choice(large)
            solution = {"country": gaz.countries[true.country_code]["name"], "city": true.name, "lat_deg": true.lat_deg, "lon_deg": true.lon_deg}
            row = {"solution": solution, "entities": rng.sample(["palm tree", "red roof", "white church", "tram", "bridge", "street sign", "mountain", "boat"], 5)}
        sentences = []
        while sum(len(s.split()) for s in sentences) < 225:
            sentences.append(f"{rng.choice(OPENINGS)} {rng.choice(THINGS)}, {rng.choice(COMMENTS)} number {rng.randrange(10**6)}.")
        guess = rng.choice(large) if rng.random() < 0.6 else true
        pairs.append((render(" ".join(sentences), gaz.countries[guess.country_code]["name"], guess.name), row))
    return pairs


def measure() -> dict[str, float]:
    """Figures of this benchmark."""
    gazetteer()
    best = 0.0
    for attempt in range(ROUNDS):  # different texts each round: nothing is found in a cache; the best round is the core undisturbed
        pairs = completions(COMPLETIONS, seed=attempt)
        start = time.process_time()
        for completion, row in pairs:
            for score in REWARDS.values():
                score(completion, row)
        best = max(best, len(pairs) / (time.process_time() - start))
    return {"completions_per_s": round(best)}


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "rewards", "figures": figures}))
        return
    print(f"completions a second, all {len(REWARDS)} text rewards: {figures['completions_per_s']:,} (target {TARGET_PER_S:,})")


if __name__ == "__main__":
    main()
