"""What the gateway costs: the same questions to a real vLLM, and to the gateway before it, on the same machine in one run.

``python tests/benchmarks/bench_gateway.py [--rounds N] [--json]``.

Pictures of 112 px and of a megapixel, half and half and all different, so that nothing is cached. Bare vLLM and the gateway take
turns, in blocks; which goes first changes from block to block, so that whatever else the machine does strikes both alike.

The project's own asyncio client drives the load. guidellm 0.8.1 does send pictures, but cannot be locked with the rest: it needs
datasets 5, and ms-swift one before 4.8.5. Alone it is an environment of 6 GB with a torch and a transformers of its own, and a run
of it asks one server, so that arms could not alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from typing import Any

from gateway_load import Place, ask_all, engine_and_gateway, questions

CONCURRENCY = (1, 8, 32)
ROUNDS, BLOCK = 6, {1: 24, 8: 48, 32: 96}
"""Blocks for each arm, and questions in a block."""
MEANINGS = {
    "throughput_vs_bare": "answers per second through the gateway over those of bare vLLM, at the worst concurrency",
    "added_p50_ms": "the median answer's time through the gateway minus bare vLLM's, at the worst concurrency",
}


async def compare(bare: Place, gateway: Place, concurrency: int, rounds: int) -> dict[str, Any]:
    """Both arms at a concurrency."""
    arms = {"bare": bare, "gateway": gateway}
    seconds = dict.fromkeys(arms, 0.0)
    taken: dict[str, list[float]] = {name: [] for name in arms}
    block = BLOCK[concurrency]
    for number in range(rounds):
        for name in list(arms) if number % 2 else reversed(arms):
            asked = questions(block, seed=len(taken[name]) * 2 + (name == "bare") + 100_000 * concurrency)
            spent, each = await ask_all(arms[name], asked, concurrency)
            seconds[name] += spent
            taken[name] += each
    per_s = {name: rounds * block / seconds[name] for name in arms}
    p50_ms = {name: 1000 * statistics.median(taken[name]) for name in arms}
    p95_ms = {name: 1000 * statistics.quantiles(taken[name], n=20)[-1] for name in arms}
    return {
        "concurrency": concurrency,
        "n": rounds * block,
        "per_s": per_s,
        "p50_ms": p50_ms,
        "p95_ms": p95_ms,
        "throughput_vs_bare": per_s["gateway"] / per_s["bare"],
        "added_p50_ms": p50_ms["gateway"] - p50_ms["bare"],
    }


async def measure(bare: Place, gateway: Place, rounds: int) -> dict[str, Any]:
    """All concurrencies, once both arms are warm."""
    for place in (bare, gateway):
        await ask_all(place, questions(24, seed=1 + len(place.key)), 8)
    rows = [await compare(bare, gateway, concurrency, rounds) for concurrency in CONCURRENCY]
    return {
        "throughput_vs_bare": min(row["throughput_vs_bare"] for row in rows),
        "added_p50_ms": max(row["added_p50_ms"] for row in rows),
        "rows": rows,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with engine_and_gateway() as (bare, gateway):
        figures = asyncio.run(measure(bare, gateway, given.rounds))
    if given.json:
        print(json.dumps(figures, indent=1))
        return
    for row in figures["rows"]:
        told = "; ".join(
            f"{name} {row['per_s'][name]:.1f}/s, p50 {row['p50_ms'][name]:.0f} ms, p95 {row['p95_ms'][name]:.0f} ms"
            for name in ("bare", "gateway")
        )
        print(f"concurrency {row['concurrency']:2d}, {row['n']} answers each: {told}")
    for name, meaning in MEANINGS.items():
        print(f"{name:20s} {figures[name]:8.3f}  {meaning}")


if __name__ == "__main__":
    main()
