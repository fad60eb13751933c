"""What a report is made from: plain records that the pipeline fills in and the pages show."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

StageStatus = Literal["done", "reused", "failed", "skipped"]


@dataclass(frozen=True)
class StageRow:
    """One stage of a run as its final table shows it."""

    name: str
    status: StageStatus
    seconds: float
    figure: str = ""
    """What it achieved, in one short text."""
    output: str = ""
    """Where its output is."""


@dataclass(frozen=True)
class EvaluationView:
    """One evaluation of one model on the held-out pictures."""

    name: str
    """What readers call it: its title in the run (`globe.evaluation.titles`), or a model's name."""
    metrics: dict[str, Any]
    """What `globe score` prints; percents are 0 to 100."""
    predictions: list[dict[str, Any]] | None = None
    """What the model said about each picture: the records of predictions.jsonl. None if there are none."""
    change: dict[str, Any] | None = None
    """Differences from another evaluation, as `globe compare` prints them. None if they are not of the same pictures."""
    against: str = ""
    """The name of that evaluation; empty if it is the one before this."""


@dataclass(frozen=True)
class RunReport:
    """Everything that a run's page shows. The page says so where something is missing (None or empty)."""

    title: str
    profile: str
    started: str
    """ISO 8601."""
    seconds: float
    stages: list[StageRow] = field(default_factory=list)
    curation: dict[str, Any] | None = None
    """curation.json."""
    evaluations: list[EvaluationView] = field(default_factory=list)
    """In the order of training; the last one is the model that the gate judged."""
    reward_curve: list[dict[str, Any]] = field(default_factory=list)
    """One dict a logged step: step, reward, and `rewards/<Name>/mean` for each reward."""
    pictures: Path | None = None
    """The test dataset's folder, or a folder of image files named by id."""
    gate: dict[str, Any] | None = None
    """verdict, reasons."""
    locate_command: str = ""
