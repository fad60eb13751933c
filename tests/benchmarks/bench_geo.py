"""The geo core's figures: load time and memory, look-ups, scoring, hostile text.

``python tests/benchmarks/bench_geo.py [--json]``.

Loading is measured in a process of its own with the gazetteer file already built (it is built once in a machine's life);
look-ups ask for names that no cache has seen: own names and alternate ones of random places with their countries' names.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from globe.answer.parse import parse
from globe.geo.gazetteer import gazetteer
from globe.geo.places import find_place
from globe.rewards import REWARDS

TARGETS = {
    "load_s": "at most 0.5", "load_mb": "at most 250", "lookups_per_s": "at least 50,000", "score_12k_s": "at most 3",
    "hostile_1mb_ms": "at most 50",
}  # fmt: skip
_LOAD = """
import resource, time
start = time.perf_counter()
from globe.geo.places import find_place
assert find_place("Paris", "France").match == "exact"
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_ROW = {
    "solution": {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.28, "lon_deg": 36.82},
    "entities": ["red earth", "palm tree"],
}


def load() -> tuple[float, float]:
    """Seconds from nothing imported to the first look-up done, and the process's peak memory in MB; best of three."""
    outputs = [subprocess.run([sys.executable, "-c", _LOAD], check=True, capture_output=True, text=True).stdout for _ in range(3)]
    pairs = [tuple(map(float, output.split())) for output in outputs]
    return min(p[0] for p in pairs), min(p[1] for p in pairs)


def lookups_per_s(count: int = 50_000) -> float:
    """Look-ups of distinct names a second, half own names and half as models write them (lower case)."""
    gaz = gazetteer()
    rng = random.Random(0)
    places = [gaz.place(rng.randrange(len(gaz))) for _ in range(count)]
    queries = [(p.name if i % 2 else p.name.lower(), gaz.countries[p.country_code]["name"]) for i, p in enumerate(places)]
    best = 0.0
    for _ in range(3):
        find_place.cache_clear()
        start = time.process_time()
        for city, country in queries:
            find_place(city, country)
        best = max(best, count / (time.process_time() - start))
    return best


def score_12k_s() -> float:
    """Seconds of ``globe score`` as a process, for 12,000 predictions by name and 1,000 bootstrap rounds."""
    gaz = gazetteer()
    rng = random.Random(0)
    places = [gaz.place(rng.randrange(len(gaz))) for _ in range(12_000)]
    with tempfile.TemporaryDirectory() as folder:
        truth, predictions = Path(folder) / "truth.csv", Path(folder) / "predictions.csv"
        with truth.open("w", encoding="utf-8", newline="") as t, predictions.open("w", encoding="utf-8", newline="") as p:
            writer, guesses = csv.writer(t), csv.writer(p)
            writer.writerow(["id", "lat", "lon", "country", "city"])
            guesses.writerow(["id", "country", "city"])
            for i, place in enumerate(places):
                guess = place if rng.random() < 0.6 else rng.choice(places)
                writer.writerow([i, place.lat_deg, place.lon_deg, gaz.countries[place.country_code]["name"], place.name])
                guesses.writerow([i, gaz.countries[guess.country_code]["name"], guess.name])
        command = [
            sys.executable,
            "-m",
            "globe.cli",
            "score",
            "--truth",
            str(truth),
            "--predictions",
            str(predictions),
            "--json",
        ]
        times = []
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
    return min(times)


def hostile_texts() -> dict[str, str]:
    """Texts of a megabyte made to be slow to read."""
    size = 1_000_000
    return {
        "open tags": "<think>" * (size // 7),
        "angle brackets": "<" * size,
        "half tags": "< think" * (size // 7),
        "answers": "<answer>country: A\ncity: B</answer>" * (size // 35),
        "keys": "<think>x</think><answer>" + "country: " * (size // 9),
        "blank": "<think>x</think><answer>" + " " * size + "</answer>",
        "colons": "<answer>" + ":" * size,
        "list marks": "<answer>" + "*-#> " * (size // 5),
        "words": "<think>" + "no palm tree, " * (size // 14) + "</think><answer>country: Kenya\ncity: Nairobi</answer>",
        "one word": "<think>" + "a" * size + "</think><answer>country: Kenya\ncity: Nairobi</answer>",
        "long city": "<think>x</think><answer>country: Kenya\ncity: " + "Nairobi, " * (size // 9) + "</answer>",
        "marks": "<think>" + "\u0301" * (size // 2) + "</think>",
    }


def hostile_1mb_ms() -> tuple[float, str]:
    """Milliseconds of the slowest hostile megabyte in the parser and in the slowest reward, and which text it was."""
    worst, name = 0.0, ""
    for title, text in hostile_texts().items():
        for work in (parse, *(lambda t, f=f: f(t, _ROW) for f in REWARDS.values())):
            elapsed = []
            for _ in range(3):
                start = time.process_time()
                work(text)
                elapsed.append(time.process_time() - start)
            if min(elapsed) * 1e3 > worst:
                worst, name = min(elapsed) * 1e3, title
    return worst, name


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    gazetteer()
    load_s, load_mb = load()
    hostile, slowest = hostile_1mb_ms()
    figures = {
        "load_s": round(load_s, 3),
        "load_mb": round(load_mb, 1),
        "lookups_per_s": round(lookups_per_s()),
        "score_12k_s": round(score_12k_s(), 2),
        "hostile_1mb_ms": round(hostile, 1),
    }
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "geo", "figures": figures}))
        return
    for name, value in figures.items():
        print(f"{name:16}{value:>12,}   {TARGETS[name]}" + (f"   (slowest: {slowest})" if name == "hostile_1mb_ms" else ""))


if __name__ == "__main__":
    main()
