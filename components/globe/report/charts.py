"""Geometry of the charts. Templates draw them as HTML and inline SVG, so that they have the page's colours, light or dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from globe.report.text import limits, number, signless

TREND_STEPS = 10
LOGGED = {
    "token_acc": "Tokens right",
    "kl": "KL from the start",
    "entropy/mean": "Entropy",
    "completions/mean_length": "Answer's length in tokens",
    "completions/clipped_ratio": "Share of answers cut off",
    "frac_reward_zero_std": "Share of groups with equal rewards",
    "loss": "Loss",
    "grad_norm": "Gradient's norm",
    "learning_rate": "Learning rate",
}
"""What ms-swift's trainers log beside the rewards, and what readers call it."""


@dataclass(frozen=True)
class Mark:
    """A value with its 95% interval on a scale of 0 to 100."""

    series: int
    name: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """A line chart in a box of 0..1000 by 0..300, which the page stretches; its labels are HTML beside it."""

    name: str
    points: str
    trend: str
    y_ticks: list[tuple[float, str]]
    """Distance from the top in percent, and label."""
    first_step: str
    last_step: str
    first_mean: float
    last_mean: float
    window: int
    """How many steps the two means cover."""
    steps: int


def mark(series: int, name: str, value: Any, pair: Any) -> Mark:
    """An evaluation's mark; a value that is not a number is left out of the chart."""
    bounds = limits(pair) or (None, None)
    return Mark(series, name, number(value), bounds[0], bounds[1])


def curve(name: str, steps: Sequence[float], values: Sequence[float]) -> Curve | None:
    """A line with its trailing mean over ten steps.

    Args:
        name: Title.
        steps: x, ascending, same length as values.
        values: y.

    Returns:
        The geometry, or None without points.
    """
    if not values:
        return None
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    left, right = min(steps), max(steps)

    def at(step: float, value: float) -> str:
        x = 500.0 if right == left else 1000 * (step - left) / (right - left)
        return f"{x:.1f} {300 * (high - value) / (high - low):.1f}"

    trend = [_mean(values[max(0, i - TREND_STEPS + 1) : i + 1]) for i in range(len(values))]
    window = min(TREND_STEPS, max(1, len(values) // 2))
    return Curve(
        name=name,
        points="M" + "L".join(at(step, value) for step, value in zip(steps, values, strict=True)),
        trend="M" + "L".join(at(step, value) for step, value in zip(steps, trend, strict=True)),
        y_ticks=[(100 * (high - tick) / (high - low), _tick_label(tick, ticks[1] - ticks[0])) for tick in ticks],
        first_step=f"{left:g}",
        last_step=f"{right:g}",
        first_mean=_mean(values[:window]),
        last_mean=_mean(values[-window:]),
        window=window,
        steps=len(values),
    )


def reward_curves(log: Sequence[dict[str, Any]]) -> tuple[Curve | None, list[Curve]]:
    """The curve of the mean reward, and one for each single reward (`rewards/<Name>/mean`)."""
    names = sorted({key for row in log for key in row if key.startswith("rewards/") and key.endswith("/mean")})
    main = _curve_of(log, "reward", "Mean reward")
    parts = (_curve_of(log, name, name.removeprefix("rewards/").removesuffix("/mean")) for name in names)
    return main, [part for part in parts if part is not None]


def training_curves(history: Sequence[dict[str, Any]], main: str) -> tuple[Curve | None, list[Curve]]:
    """The curve of what a training is about, and one for each other figure that its trainer logs.

    Args:
        history: What was logged at each step.
        main: Name of that figure: "loss" or "reward".
    """
    if main == "reward":
        first, parts = reward_curves(history)
    else:
        first, parts = _curve_of(history, main, main.capitalize()), []
    further = (_curve_of(history, key, name) for key, name in LOGGED.items() if key != main)
    return first, parts + [one for one in further if one is not None and one.steps > 1]


def _curve_of(log: Sequence[dict[str, Any]], key: str, name: str) -> Curve | None:
    points = []
    for order, row in enumerate(log, start=1):
        step, value = number(row.get("step")), number(row.get(key))
        if value is not None:
            points.append((float(order) if step is None else step, value))
    points.sort(key=lambda point: point[0])
    return curve(name, [step for step, _ in points], [value for _, value in points])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that enclose low..high, at least two."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def _tick_label(tick: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{tick + 0.0:.{digits}f}".replace("-", "−") if digits else signless(tick).removesuffix(".0")


def log_percent(value: float, low: float, high: float) -> float:
    """Where a value lies on a logarithmic scale, in percent of its length."""
    return 100 * math.log(value / low) / math.log(high / low)


def square_path(points: Sequence[tuple[float, float]]) -> str:
    """A line through points in percent, in a square of 0..100 whose y leads downwards; empty for none."""
    return "M" + "L".join(f"{x:.1f} {100 - y:.1f}" for x, y in points) if points else ""
