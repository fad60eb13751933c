"""What orchestration costs: seconds a stage beside its own work, and seconds to compile all pipelines.

``python tests/benchmarks/bench_overhead.py [--json]``. The stage is the contract `skip`, which does nothing but report one
event; ten of them run one after the other through KFP's local runner, as `python -m pipelines run` uses it. Its own time is
that of the same call in a bare Python process, so what is left is KFP's: its executor's import, files, dispatch.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the project's pipelines are no installed package

STAGES = 10
ROUNDS = 5
TARGETS = {"stage_overhead_s": "at most 0.3", "compile_s": "at most 5"}
OWN = "from globe.run.events import skip; skip('stage', 'switched off')"


def stage_overhead_s() -> float:
    """Seconds that the local runner adds to each stage of a chain."""
    from kfp import dsl, local

    from components.checkpoint import skip

    @dsl.pipeline(name="chain")
    def chain():
        last = None
        for _ in range(STAGES):
            task = skip(stage="nothing")
            if last:
                task.after(last)
            last = task

    walls = []
    with tempfile.TemporaryDirectory() as folder:
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=folder)
        for _ in range(ROUNDS):
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                chain()
            walls.append((time.perf_counter() - started) / STAGES)
    return median(walls) - own_s()


def own_s() -> float:
    """Seconds of the stage's own work in a process of its own."""
    seconds = []
    for _ in range(ROUNDS * 2):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", OWN], check=True, capture_output=True, env=os.environ)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def compile_s() -> float:
    """Seconds to compile all pipelines for the default cluster, imports apart."""
    from pipelines import DEFAULT_PROFILE
    from pipelines.catalog import PIPELINES
    from pipelines.compile import cluster_of, compiled_text

    cluster = cluster_of(DEFAULT_PROFILE)
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for pipeline in PIPELINES.values():
            compiled_text(pipeline, cluster)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    figures = {"stage_overhead_s": round(stage_overhead_s(), 3), "compile_s": round(compile_s(), 2)}
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "overhead", "figures": figures}))
        return
    for name, value in figures.items():
        print(f"{name:18}{value:>8}   {TARGETS[name]}")


if __name__ == "__main__":
    main()
