"""Whether a machine has room for GRPO and its reward service side by side: neither fits beside the other on one GPU."""

from collections.abc import Sequence

from globe.errors import InputError
from globe.run.gpus import VISIBLE_VARIABLE
from globe.training.grpo_recipe import GrpoRecipe


def require_room(recipe: GrpoRecipe, gpus: Sequence[str], *, promised: int = 0, servers: int = 1) -> None:
    """Check that the trainer, which takes the first GPUs, leaves the last ones to the reward service.

    Args:
        recipe: GRPO's recipe.
        gpus: The machine's GPUs; none, as on a laptop, leaves nothing to share.
        promised: GPUs that the stage is promised; 0 for as many as the recipe was written for.
        servers: GPUs of the reward service.

    Raises:
        InputError: They would share one.
    """
    training = promised or recipe.gpus
    if not gpus or recipe.environment.get(VISIBLE_VARIABLE) == "" or training + servers <= len(gpus):
        return
    raise InputError(
        f"grpo trains on {training} GPUs and its reward service needs {servers} of its own, but this machine shows {len(gpus)} "
        f"({VISIBLE_VARIABLE}); train on fewer (grpo_gpus, grpo.nproc_per_node), or leave the localizability reward out"
    )
