"""Which GPUs a stage uses, and whether they are those that it was promised."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from globe.errors import InputError
from globe.run.events import fail

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
MACHINE_VARIABLE = "GLOBE_MACHINE_GPUS"
"""Set by a run whose stages are processes of one machine: its GPUs, with commas. Stages take the first, servers the last."""


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a stage."""

    promised: int
    """What its pod asked for; 0 when nothing was promised, as on a laptop."""
    seen: int

    @property
    def figures(self) -> dict[str, int]:
        """Both as figures of the stage."""
        return {"gpus_promised": self.promised, "gpus_seen": self.seen}


def require_gpus(stage: str, promised: int, *, elsewhere: int = 0) -> Gpus:
    """Stop a stage that did not get the GPUs it was promised, before it loads anything.

    A backend older than the compiler drops the request for GPUs silently; training would then crawl on a CPU, or use a
    neighbour's cards.

    Args:
        stage: Name of the stage, for the user.
        promised: GPUs that the stage's pod asked for; 0 when nothing was promised, as on a laptop.
        elsewhere: GPUs of a TrainJob that trains in the pod's place; its nodes look for themselves.

    Returns:
        Both numbers.

    Raises:
        InputError: The counts differ. To try again in the same pod would be in vain.
    """
    if elsewhere:
        return Gpus(elsewhere, elsewhere)
    if not promised:
        return Gpus(0, devices())
    if shared := _listed(os.environ.get(MACHINE_VARIABLE, "")):
        os.environ[VISIBLE_VARIABLE] = ",".join(shared[:promised])
        seen = len(shared[:promised])
    else:
        seen = visible_gpus()
    if seen == promised:
        return Gpus(promised, seen)
    error = InputError(
        f"stage {stage} was promised {promised} GPUs and sees {seen}; check the pod's GPU limit, the device plugin, and "
        "that the backend is as new as the compiled pipeline (an older one drops GPU requests silently)"
    )
    fail(stage, error, seconds=0.0)
    raise error


def visible_gpus() -> int:
    """How many GPUs torch can use in this process; asking does not start CUDA."""
    import torch

    return int(torch.cuda.device_count())


def gpus_here(environment: Mapping[str, str] = os.environ, count: int | None = None) -> list[str]:
    """Names of the GPUs that processes of this machine see: those that their environment names, or else all, by number.

    Args:
        environment: It.
        count: How many there are; None counts them.
    """
    if VISIBLE_VARIABLE in environment:
        return _listed(environment[VISIBLE_VARIABLE])
    return [str(number) for number in range(devices() if count is None else count)]


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def devices() -> int:
    """How many GPUs there are here, by their device files: torch would take ten seconds to say that there is none."""
    return sum(path.name.removeprefix("nvidia").isdecimal() for path in Path("/dev").glob("nvidia*"))
