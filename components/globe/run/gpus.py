"""Compare the GPUs that a stage sees with those that it was promised."""

from globe.errors import GlobeError
from globe.run.events import fail


def require_gpus(stage: str, promised: int) -> None:
    """Stop a stage that did not get the GPUs it was promised, before it loads anything.

    A backend older than the compiler drops the request for GPUs silently; training would then crawl on a CPU, or use a
    neighbour's cards.

    Args:
        stage: Name of the stage, for the user.
        promised: GPUs that the stage's pod asked for; 0 when nothing was promised, as on a laptop.

    Raises:
        GlobeError: The counts differ.
    """
    if not promised:
        return
    seen = visible_gpus()
    if seen == promised:
        return
    error = GlobeError(
        f"stage {stage} was promised {promised} GPUs and sees {seen}; check the pod's GPU limit, the device plugin, and "
        "that the backend is as new as the compiled pipeline (an older one drops GPU requests silently)"
    )
    fail(stage, error, seconds=0.0)
    raise error


def visible_gpus() -> int:
    """How many GPUs torch can use in this process; asking does not start CUDA."""
    import torch

    return int(torch.cuda.device_count())
