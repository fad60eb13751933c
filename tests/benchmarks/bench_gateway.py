"""What the gateway costs: the same questions to a real vLLM, and to the gateway before it, on the same machine in one run.

``python tests/benchmarks/bench_gateway.py [--rounds N] [--json]``, some ten minutes.

Pictures of 112 px, what a tiny model sees, and of a megapixel, each size by itself and all pictures different, so that nothing is
cached. Bare vLLM and the gateway take turns, in blocks; which goes first changes from block to block, so that whatever else the
machine does strikes both alike. Times depend on how many cores clients, gateway and engine share; seconds of CPU for each answer
depend on it much less.

Bare vLLM is asked a second time, as `bare_apart`: each question is held back for 2 ms, one after the other, about as long as the
gateway has work with it. That keeps pictures from arriving all at once, and a tiny model on a CPU looks at several pictures in
one step for hardly more than one alone. What anything in between loses by that is not work of its own. So from 8 clients on, bare
vLLM itself differed between four runs on the same two idle cores by 1.7 and by 4.6 times: on such a machine only the figures of a
single client, and the seconds of CPU, tell something about the gateway.

What a gateway adds before an engine that has a GPU of its own cannot be seen beside one that takes all cores. So both are asked
once more with a stand-in (`timed_engine.py`), which takes `TIMED_S` for each answer, however many are under way, and computes
nothing: the figures that end in `_timed`. That is a simulation. It shows what the gateway takes and makes clients wait, not how
a real engine fares with what arrives.

The project's own asyncio client drives the load. guidellm 0.8.1 does send pictures, but cannot be locked with the rest: it needs
datasets 5, and ms-swift one before 4.8.5. Alone it is an environment of 6 GB with a torch and transformers of its own, and a run
of it asks one server, so that arms could not alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Mapping
from typing import Any

from gateway_load import LARGE_PX, SMALL_PX, Place, ask_all, cpu_s, engine_and_gateway, questions, timed_engine_and_gateway

CONCURRENCY = (1, 8, 32)
ROUNDS, BLOCK = 3, {1: 16, 8: 48, 32: 96}
"""Blocks for each arm, and questions in a block."""
APART_S = 0.002
"""For how long a question of `bare_apart` is held back."""
TIMED_S = 0.5
"""What the stand-in takes for an answer; a model of 7B takes longer, beside which the gateway would show less."""
MEANINGS = {
    "throughput_vs_bare": "answers per second through the gateway over those of bare vLLM, pictures of 112 px, worst concurrency",
    "added_p50_ms": "the median answer's time through the gateway minus bare vLLM's, pictures of 112 px, worst concurrency",
    "throughput_vs_apart": "the same over bare vLLM's to which questions come apart",
    "added_p50_ms_vs_apart": "added_p50_ms, likewise",
    "throughput_vs_bare_1mp": "the same as throughput_vs_bare for pictures of a megapixel",
    "added_p50_ms_1mp": "the same as added_p50_ms for pictures of a megapixel",
    "throughput_vs_bare_timed": f"throughput_vs_bare before a simulated engine that takes {TIMED_S:g} s and no CPU, 112 px",
    "added_p50_ms_timed": "added_p50_ms, likewise",
    "throughput_vs_bare_timed_1mp": "the same as throughput_vs_bare_timed for pictures of a megapixel",
    "added_p50_ms_timed_1mp": "the same as added_p50_ms_timed for pictures of a megapixel",
}


class Arm:
    """One of the two ways to ask, and what it has taken."""

    def __init__(self, place: Place, pids: Mapping[str, int], apart_s: float = 0.0) -> None:
        self._place, self._pids, self._apart_s = place, pids, apart_s
        self._seconds, self._taken_s = 0.0, list[float]()
        self._cpu_s = dict.fromkeys(pids, 0.0)

    async def ask(self, asked: list[bytes], concurrency: int) -> None:
        """Ask a block of questions."""
        before = {name: cpu_s(pid) for name, pid in self._pids.items()}
        spent, each = await ask_all(self._place, asked, concurrency, self._apart_s)
        for name, pid in self._pids.items():
            self._cpu_s[name] += cpu_s(pid) - before[name]
        self._seconds += spent
        self._taken_s += each

    @property
    def figures(self) -> dict[str, Any]:
        """Answers per second, their times, and CPU for each."""
        count = len(self._taken_s)
        return {
            "per_s": count / self._seconds,
            "p50_ms": 1000 * statistics.median(self._taken_s),
            "p95_ms": 1000 * statistics.quantiles(self._taken_s, n=20)[-1],
            "cpu_ms": {name: 1000 * used / count for name, used in self._cpu_s.items()},
        }


async def compare(bare: Place, gateway: Place, side_px: int, concurrency: int, rounds: int, *, timed: bool) -> dict[str, Any]:
    """All arms at a concurrency; a simulated engine doesn't mind whether questions come apart."""
    arms = {"bare": Arm(bare, {"engine": bare.pid})}
    if not timed:
        arms["bare_apart"] = Arm(bare, {"engine": bare.pid}, APART_S)
    arms["gateway"] = Arm(gateway, {"engine": bare.pid, "gateway": gateway.pid})
    block = BLOCK[concurrency]
    for number in range(rounds):
        turn = number % len(arms)
        for which, name in [*enumerate(arms)][turn:] + [*enumerate(arms)][:turn]:
            seed = 1_000_000 * concurrency + 1000 * side_px + len(arms) * number + which
            await arms[name].ask(questions(block, seed, [side_px]), concurrency)
    told = {name: arm.figures for name, arm in arms.items()}
    row = {"engine": "timed" if timed else "vllm", "side_px": side_px, "concurrency": concurrency, "n": rounds * block, **told}
    for name, suffix in (("bare", "bare"), ("bare_apart", "apart")):
        if name in told:
            row[f"throughput_vs_{suffix}"] = told["gateway"]["per_s"] / told[name]["per_s"]
            row[f"added_p50_ms_vs_{suffix}"] = told["gateway"]["p50_ms"] - told[name]["p50_ms"]
    return row


async def measure(bare: Place, gateway: Place, rounds: int, *, timed: bool) -> list[dict[str, Any]]:
    """All sizes and concurrencies, once both arms are warm."""
    for number, place in enumerate((bare, gateway)):
        await ask_all(place, questions(24, seed=1 + number), 8)
    rows = []
    for side_px in (SMALL_PX, LARGE_PX):
        for concurrency in CONCURRENCY:
            rows.append(await compare(bare, gateway, side_px, concurrency, rounds, timed=timed))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The worst of each engine's and each size's rows, under the names of `MEANINGS`."""
    found: dict[str, float] = {}
    for engine, of_engine in (("vllm", ""), ("timed", "_timed")):
        for side_px, of_size in ((SMALL_PX, ""), (LARGE_PX, "_1mp")):
            these = [row for row in rows if (row["engine"], row["side_px"]) == (engine, side_px)]
            for arm, of_arm in (("bare", ""), ("apart", "_vs_apart")):
                if f"throughput_vs_{arm}" in these[0]:
                    found[f"throughput_vs_{arm}{of_engine}{of_size}"] = min(row[f"throughput_vs_{arm}"] for row in these)
                    found[f"added_p50_ms{of_arm}{of_engine}{of_size}"] = max(row[f"added_p50_ms_vs_{arm}"] for row in these)
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with engine_and_gateway() as (bare, gateway):
        rows = asyncio.run(measure(bare, gateway, given.rounds, timed=False))
    with timed_engine_and_gateway(TIMED_S) as (bare, gateway):
        rows += asyncio.run(measure(bare, gateway, given.rounds, timed=True))
    figures = {**_figures(rows), "rows": rows, "cores": os.cpu_count(), "load_average": os.getloadavg()}
    if given.json:
        print(json.dumps(figures, indent=1))
        return
    for row in figures["rows"]:
        print(f"{row['engine']}, {row['side_px']} px, concurrency {row['concurrency']}, {row['n']} answers each:")
        for name in [name for name in ("bare", "bare_apart", "gateway") if name in row]:
            arm = row[name]
            cpu = ", ".join(f"{process} {ms:.1f}" for process, ms in arm["cpu_ms"].items())
            times = f"{arm['per_s']:6.1f}/s, p50 {arm['p50_ms']:5.0f} ms, p95 {arm['p95_ms']:5.0f} ms"
            print(f"  {name:10s} {times}; ms of CPU for each: {cpu}")
    for name, meaning in MEANINGS.items():
        print(f"{name:28s} {figures[name]:9.3f}  {meaning}")


if __name__ == "__main__":
    main()
