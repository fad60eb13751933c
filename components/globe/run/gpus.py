"""Compare the GPUs that a stage sees with those that it was promised."""

from dataclasses import dataclass
from pathlib import Path

from globe.errors import InputError
from globe.run.events import fail


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


def devices() -> int:
    """How many GPUs there are here, by their device files: torch would take ten seconds to say that there is none."""
    return sum(path.name.removeprefix("nvidia").isdecimal() for path in Path("/dev").glob("nvidia*"))
