"""Curation's figures: verification, ingest, near-duplicates and memory without the teachers, and how busy teachers are kept.

``python tests/benchmarks/bench_curation.py [--json] [--quick] [NAME ...]``: all modules of ``curation/`` beside it, or the named
ones.

Each module there measures one thing and says how, on one core; memory_growth is that of 1,000,000 rows over 100,000, which takes
half an hour. With ``--quick`` each takes the smaller numbers that it calls `QUICK`. That shows within minutes that all of them
run; what is claimed is measured without it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

TARGETS = {
    "verify_rows_per_s": "at least 5,000",
    "ingest_photos_per_s": "at least 150",
    "dedup_1m_s": "at most 120",
    "memory_growth": "at most 1.2",
    "index_memory_growth": "at most 1.2",
    "teacher_efficiency": "at least 0.9",
}
FOLDER = Path(__file__).with_name("curation")


def measurements(wanted: list[str], quick: bool) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """The modules, by name, with the function that measures."""
    for path in sorted(FOLDER.glob("[!_]*.py")):
        if wanted and path.stem not in wanted:
            continue
        spec = importlib.util.spec_from_file_location(f"bench_curation_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up there
        spec.loader.exec_module(module)
        yield path.stem, partial(module.figures, **(module.QUICK if quick else {}))


def main() -> None:
    """Prints a table, each module's rows once they are measured, or JSON with ``--json`` at the end."""
    found: dict[str, float] = {}
    as_json, quick = "--json" in sys.argv[1:], "--quick" in sys.argv[1:]
    for name, measure in measurements([argument for argument in sys.argv[1:] if not argument.startswith("--")], quick):
        print(f"measuring {name}", file=sys.stderr, flush=True)
        figures = measure()
        found |= figures
        if not as_json:
            print("\n".join(f"{one:32}{value:>14,.6g}   {TARGETS.get(one, '')}" for one, value in figures.items()), flush=True)
    if as_json:
        print(json.dumps({"name": "curation", "quick": quick, "figures": found}))


if __name__ == "__main__":
    main()
