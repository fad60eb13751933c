"""The curves of a training as a page of its own, for the frame in KFP's UI, which strips nothing but has no network."""

import json
from pathlib import Path
from typing import Any

from globe.report.charts import training_curves
from globe.report.page import write_page
from globe.report.text import clean
from globe.run.stage import StageResult
from globe.training.runs import HISTORY_FILE

TITLES = {"sft": ("SFT", "loss"), "reward_model": ("Reward model", "loss"), "grpo": ("GRPO", "reward")}
"""By stage: its name for readers, and the figure that its training is about."""


def write_training_page(path: str, result: StageResult) -> None:
    """Write the page of a training's curves, also of one that an earlier run did.

    Args:
        path: The HTML file; its folder is made.
        result: The stage's result; what its trainer logged lies in its folder.
    """
    title, what = TITLES[result.name]
    main, parts = training_curves(_history(result.folder / HISTORY_FILE), what)
    write_page(Path(path), "training.html", {"title": clean(title), "what": what, "main": main, "parts": parts})


def _history(path: Path) -> list[dict[str, Any]]:
    """What was logged at each step; nothing if an earlier version did not keep it."""
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []
