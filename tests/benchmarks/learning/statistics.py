"""Means over seeds with 95% intervals, and the gain of each GRPO arm over the model that it started from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from globe.figures.intervals import student_t
from tests.benchmarks.learning.arms import START

Measured = dict[str, dict[int, dict[str, float]]]
"""Figures in percent by arm, seed and name."""
COLUMNS = {
    "city": "within 25 km",
    "country": "country right",
    "dusk": "25 km, at dusk",
    "day": "25 km, by day",
}


def with_interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean over seeds, and half the width of its 95% interval by Student's t; infinite for a single seed."""
    if len(values) < 2:
        return mean(values), math.inf
    return mean(values), float(student_t(len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def gains(measured: Measured, arm: str, column: str) -> list[float]:
    """What GRPO added to its own start, in points, for each seed that has both."""
    after, before = measured.get(arm, {}), measured.get(START.get(arm, ""), {})
    return [after[seed][column] - before[seed][column] for seed in after.keys() & before.keys()]


def figures_of(measured: Measured) -> dict[str, float]:
    """Flat figures: ARM_COLUMN and ARM_COLUMN_gain in percent and points, each with _ci95 (half the interval), and ARM_seeds."""
    figures: dict[str, float] = {}
    for arm, seeds in measured.items():
        figures[f"{arm}_seeds"] = len(seeds)
        for column in COLUMNS:
            figures |= _figure(f"{arm}_{column}", [values[column] for values in seeds.values()])
            if gained := gains(measured, arm, column):
                figures |= _figure(f"{arm}_{column}_gain", gained)
    return figures


def table_of(measured: Measured) -> str:
    """A markdown table: one line an arm."""
    lines = [
        f"| arm | seeds | {' | '.join(COLUMNS.values())} | gain over its SFT start, points within 25 km |",
        f"|---|---|{'---|' * (len(COLUMNS) + 1)}",
    ]
    for arm, seeds in measured.items():
        cells = [_text([values[column] for values in seeds.values()], "") for column in COLUMNS]
        gained = gains(measured, arm, "city")
        lines.append(f"| {arm} | {len(seeds)} | {' | '.join(cells)} | {_text(gained, '+') if gained else ''} |")
    return "\n".join(lines)


def _figure(name: str, values: Sequence[float]) -> Mapping[str, float]:
    middle, half = with_interval(values)
    return {name: round(middle, 2)} | ({f"{name}_ci95": round(half, 2)} if math.isfinite(half) else {})


def _text(values: Sequence[float], sign: str) -> str:
    middle, half = with_interval(values)
    return f"{middle:{sign}.1f}" + (f" ± {half:.1f}" if math.isfinite(half) else "")
