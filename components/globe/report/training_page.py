"""The curves of a training as a page of its own, for the frame in KFP's UI, which strips nothing but has no network."""

from pathlib import Path
from typing import Any

from globe.report.charts import curve, training_curves
from globe.report.page import write_page
from globe.report.samples_page import newest_samples
from globe.report.text import ABSENT, clean, count, words
from globe.run.stage import StageResult
from globe.training.alarms import alarms
from globe.training.measured import measurements
from globe.training.runs import History, history_of

TITLES = {"sft": ("SFT", "loss"), "reward_model": ("Reward model", "loss"), "grpo": ("GRPO", "reward")}
"""By stage: its name for readers, and the figure that its training is about."""


def write_training_page(path: str, result: StageResult) -> None:
    """Write the page of a training's curves, also of one that an earlier run did.

    Args:
        path: The HTML file; its folder is made.
        result: The stage's result; what its trainer logged lies in its folder.
    """
    title, what = TITLES[result.name]
    history = history_of(result.folder)
    main, parts = training_curves(history, what)
    context = {"title": clean(title), "what": what, "main": main, "parts": parts, "held_out": _held_out(result, history)}
    raised = alarms(history) if result.name == "grpo" else None
    write_page(Path(path), "training.html", context | {"alarms": raised, "samples": newest_samples(result.folder)})


def _held_out(result: StageResult, history: History) -> dict[str, Any] | None:
    """What was measured on held-out pictures; None where nothing was."""
    figures, points = result.outcome.figures, measurements(history)
    if "best_step" not in figures or not points:
        return None
    name = f"Held-out {words(figures['eval_reward'])}"
    drawn = curve(name, [step for step, _ in points], [value for _, value in points])
    shown = {part: _share(figures[f"eval_{part}"]) for part in ("start", "best", "last")}
    return shown | {"curve": drawn, "rows": count(figures["eval_rows"]), "best_step": figures["best_step"]}


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"
