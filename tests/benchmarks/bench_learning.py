"""What the stages teach the tiny model: held-out accuracy by the data of SFT and the rewards of GRPO, over several seeds.

``python tests/benchmarks/bench_learning.py [--json] [--seeds N] [--first N] [--arms NAME,...] [--store FOLDER]
[--set STAGE.NAME=VALUE]``.

The arms are those of the paper's ablations. SFT learns from raw, single-teacher or verified data (`learning/grades.py`); GRPO
starts from each of the three with two rewards, and from the verified one also with one and with three. Stages, recipes and
simulated teachers are the demo's. A seed decides the world, the teachers' errors, the first weights and each training. The judge
of the third reward is the trained reward model, served in this process.

Whatever is finished is found again in the store, and results.json there is written after each model: so this may be killed, and
goes on when it is started again. One seed takes a core about half an hour; `make bench` leaves this one out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "components")]

from globe.files import write_json  # noqa: E402
from tests.benchmarks.learning.arms import ARMS, Seed, read_overrides  # noqa: E402
from tests.benchmarks.learning.statistics import Measured, figures_of, table_of  # noqa: E402

RESULTS = "results.json"
FIRST_SEED = 1


def measure(first: int, seeds: int, arms: list[str], store: Path, overrides: dict[str, object]) -> Measured:
    """Train and measure each arm with each seed: seed by seed, so that what was stopped early has whole comparisons to show."""
    measured: Measured = {}
    for number in range(first, first + seeds):
        seed = Seed(number, store, overrides)
        for name in arms:
            measured.setdefault(name, {})[seed.number] = seed.measure(ARMS[name])
            write_json(store / RESULTS, {"arms": measured, "figures": figures_of(measured), "set": overrides})
            print(table_of(measured), file=sys.stderr, flush=True)
    return measured


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(description="Held-out accuracy of the tiny model by data and rewards, over several seeds.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="the first one, to add to what was measured before")
    parser.add_argument("--arms", default=",".join(ARMS), help="names, separated by commas; all if left out")
    parser.add_argument("--store", type=Path, default=ROOT / "runs" / "bench_learning", help="where results are kept")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.NAME=VALUE", help="replace a recipe's value")
    given = parser.parse_args()
    arms = [name for name in given.arms.split(",") if name]
    if unknown := [name for name in arms if name not in ARMS]:
        parser.error(f"--arms: no arm {unknown[0]}; choose from {', '.join(ARMS)}")
    measured = measure(given.first, given.seeds, arms, given.store, read_overrides(given.set))
    print(json.dumps({"name": "learning", "figures": figures_of(measured)}) if given.json else table_of(measured))


if __name__ == "__main__":
    main()
