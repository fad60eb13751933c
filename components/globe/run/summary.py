"""What is told at the end of a run: how it ended, what each stage took, and what that cost. The page and a notice share it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["succeeded", "rejected", "failed"]


@dataclass(frozen=True)
class Money:
    """An amount in a currency."""

    amount: float
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"


@dataclass(frozen=True)
class StageUse:
    """What one stage, or one server ("server:MODEL"), took."""

    name: str
    title: str
    """What people call it."""
    state: State
    attempts: int
    seconds: float
    gpus: int
    """What its pod was promised."""
    error: str = ""
    figure: str = ""
    """What it achieved, in one short text."""

    @property
    def gpu_hours(self) -> float:
        """GPU-hours: the GPUs were the pod's for all of its time, whether it used them or not."""
        return self.gpus * self.seconds / 3600


@dataclass(frozen=True)
class RunSummary:
    """A run that has come to its end."""

    run: str
    """The run's id."""
    pipeline: str
    """The pipeline's title, such as "GLOBE training"."""
    title: str
    """One line: what run this is and how it ended."""
    state: State
    """Without a positive end, "failed"."""
    verdict: str = ""
    """The gate's: "promote", "reject" or "inconclusive"; empty if the run did not get there, or has no gate."""
    reasons: tuple[str, ...] = ()
    """The gate's reasons, or why the run failed; those that decided first."""
    seconds: float | None = None
    """From the start of the first stage that is known to the end; None if none is known."""
    gpu_hours: float | None = None
    """Of all stages and servers that are known; None if none is."""
    cost: Money | None = None
    """What these GPU-hours cost; None unless the profile names a price."""
    stages: tuple[StageUse, ...] = ()
    """In the order in which they started; empty if there are no records."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Figures worth a line in a notice, by name; always finite numbers."""
