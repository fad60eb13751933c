"""The curves of a training as a page of its own, for the frame in KFP's UI, which strips nothing but has no network."""

from pathlib import Path

from globe.report.charts import training_curves
from globe.report.page import write_page
from globe.report.text import clean
from globe.run.stage import StageResult
from globe.training.runs import history_of

TITLES = {"sft": ("SFT", "loss"), "reward_model": ("Reward model", "loss"), "grpo": ("GRPO", "reward")}
"""By stage: its name for readers, and the figure that its training is about."""


def write_training_page(path: str, result: StageResult) -> None:
    """Write the page of a training's curves, also of one that an earlier run did.

    Args:
        path: The HTML file; its folder is made.
        result: The stage's result; what its trainer logged lies in its folder.
    """
    title, what = TITLES[result.name]
    main, parts = training_curves(history_of(result.folder), what)
    write_page(Path(path), "training.html", {"title": clean(title), "what": what, "main": main, "parts": parts})
