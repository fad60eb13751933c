"""How long a GRPO step waits for the reward service: 128 completions, each answered after 50 ms.

``python tests/benchmarks/bench_reward_service.py [--json]``. The service is a process of its own on 127.0.0.1, without a model.
Completions of 240 words come in groups of 16 about one of 8 pictures of 60 kB, and are asked in a new event loop at each step, as
ms-swift does. The figure is the median of the steps after the first; beside it is the time of a core that a step takes here.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from globe.data.images import data_url
from globe.rewards.localizability import Judge
from globe.rewards.service import RewardService

SERVER = Path(__file__).parents[1] / "unit" / "shared" / "scoring_server.py"
KEY, DIGEST, NAME = "the-key", "0123456789abcdef", "reward_model"
TARGET_S = 0.5
LATENCY_S = 0.05
COMPLETIONS, GROUP = 128, 16
WORDS = 240
SIDE_PX = 142
"""Of a picture of noise, which as a PNG takes 60 kB."""
STEPS = 15


def pictures(folder: Path) -> list[Path]:
    """One a group."""
    drawn = random.Random(0)
    paths = []
    for number in range(COMPLETIONS // GROUP):
        paths.append(folder / f"{number}.png")
        Image.frombytes("RGB", (SIDE_PX, SIDE_PX), drawn.randbytes(3 * SIDE_PX**2)).save(paths[-1], "PNG")
    return paths


def step_s(service: RewardService, paths: Sequence[Path], step: int) -> float:
    """Seconds that one step waits for its scores, from files to numbers."""
    completions = [f"step {step} completion {number} " + "word " * WORDS for number in range(COMPLETIONS)]
    started = time.perf_counter()
    urls = {path: data_url(path.read_bytes()) for path in paths}
    scores = asyncio.run(service.scores([urls[paths[number // GROUP]] for number in range(COMPLETIONS)], completions))
    seconds = time.perf_counter() - started
    assert len(set(scores)) == COMPLETIONS
    assert None not in scores
    return seconds


def measure() -> dict[str, float]:
    """The figures."""
    told = [sys.executable, str(SERVER), "--latency-s", str(LATENCY_S), "--digest", DIGEST]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(told, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            service = RewardService(Judge(server.stdout.readline().strip(), NAME, KEY, DIGEST))
            paths = pictures(Path(folder))
            first = step_s(service, paths, 0)
            before_s = time.process_time()
            others = [step_s(service, paths, step) for step in range(1, STEPS)]
            core_s = (time.process_time() - before_s) / len(others)
            service.close()
        finally:
            server.kill()
    return {
        "step_128_s": round(statistics.median(others), 3),
        "slowest_step_s": round(max(others), 3),
        "first_step_s": round(first, 3),
        "core_s": round(core_s, 3),
    }


def main() -> None:
    """Print the figures."""
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "reward_service", "figures": figures}))
        return
    print(f"{COMPLETIONS} completions, {LATENCY_S * 1000:.0f} ms each, {STEPS - 1} steps after the first")
    print(f"median step   {figures['step_128_s']:6.3f} s   (at most {TARGET_S})")
    print(f"slowest step  {figures['slowest_step_s']:6.3f} s")
    print(f"first step    {figures['first_step_s']:6.3f} s   (connects, and proves the service)")
    print(f"of a core     {figures['core_s']:6.3f} s a step in this process")


if __name__ == "__main__":
    main()
