"""How good a training was on held-out rows, from what its trainer logged: which of its checkpoints is the best.

The record is the trainer's own history, which every checkpoint holds: a training that was killed and resumed chooses as one that
was left alone does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from globe.training.held_out import PLACE_REWARDS

PREFIX = "eval_"
"""Begins the name of every figure that was measured on held-out rows."""
_FORMAT = f"{PREFIX}format"


def measurements(history: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Step and value of each measurement, in order; step 0 is the model that the training started from.

    Args:
        history: What the trainer logged.
    """
    name = measured_name(history)
    return [(int(values["step"]), float(values[name])) for values in history if name in values]


def best_first(history: Sequence[Mapping[str, Any]]) -> list[int]:
    """Steps whose checkpoint was measured, the best first; of equals the one that keeps the format better, then the earlier."""
    name = measured_name(history)
    trained = [values for values in history if name in values and values["step"]]
    ranked = sorted(trained, key=lambda values: (-values[name], -values.get(_FORMAT, 0.0), values["step"]))
    return [int(values["step"]) for values in ranked]


def held_out_figures(history: Sequence[Mapping[str, Any]], published: int, rows: int) -> dict[str, Any]:
    """What was measured on held-out rows; nothing where nothing was.

    Args:
        history: What the trainer logged.
        published: The step whose checkpoint is published.
        rows: How many rows were held out.

    Returns:
        eval_reward (which one), eval_rows, eval_start (before the training), eval_best (at `best_step`), eval_last, best_step.
    """
    found = measurements(history)
    if not found:
        return {}
    return {
        "eval_reward": measured_name(history).removeprefix(PREFIX),
        "eval_rows": rows,
        "eval_start": value_at(history, 0),
        "eval_best": value_at(history, published),
        "eval_last": found[-1][1],
        "best_step": published,
    }


def in_one_line(figures: Mapping[str, Any]) -> str:
    """Those figures as the end of a stage's one line."""
    if not figures:
        return ""
    start = "" if figures["eval_start"] is None else f"{figures['eval_start']:.3f} -> "
    best, last = f"{figures['eval_best']:.3f} at step {figures['best_step']}", f"{figures['eval_last']:.3f} at the last"
    return f"; held-out {figures['eval_reward']} {start}{best} (the best, which is published), {last}"


def value_at(history: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """What was measured at a step; None if nothing was."""
    return next((value for at, value in reversed(measurements(history)) if at == step), None)


def measured_name(history: Sequence[Mapping[str, Any]]) -> str:
    """The figure that a training is measured by, as its trainer logs it; empty where nothing was measured."""
    return next((PREFIX + name for name in PLACE_REWARDS if any(PREFIX + name in values for values in history)), "")
