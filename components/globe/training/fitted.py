"""A recipe on the GPUs that are there: the same batch, with as many processes as GPUs."""

from typing import TypeVar

from globe.errors import InputError
from globe.recipes.load import validate
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import TrainRecipe

Recipe = TypeVar("Recipe", bound=TrainRecipe)


def fitted(recipe: Recipe, gpus: int) -> Recipe:
    """The recipe for a number of GPUs: one process on each, and the gradients accumulated over so many batches that the optimiser
    sees as many sequences a step as the recipe says.

    Args:
        recipe: The recipe.
        gpus: GPUs that are there; 0, as on a laptop, leaves the recipe as it is.

    Raises:
        InputError: The recipe's batch cannot be shared out evenly among them; names the fields.
    """
    if not gpus or gpus == recipe.gpus:
        return recipe
    processes = gpus - (recipe.gpus - recipe.nproc_per_node)
    if processes < 1:
        needed = recipe.gpus - recipe.nproc_per_node
        raise InputError(f"{gpus} GPUs: the recipe needs {needed} for the rollouts (rollout_gpus) and others to train")
    changed = {"nproc_per_node": processes, "gradient_accumulation_steps": _share(recipe, recipe.global_batch, processes, gpus)}
    if isinstance(recipe, GrpoRecipe) and recipe.steps_per_generation:
        changed["steps_per_generation"] = _share(recipe, recipe.rollout_batch, processes, gpus)
    return validate(type(recipe), recipe.model_dump() | changed, f"{gpus} GPUs")


def _share(recipe: TrainRecipe, sequences: int, processes: int, gpus: int) -> int:
    """Batches of each process that make up so many sequences."""
    share, rest = divmod(sequences, processes * recipe.per_device_train_batch_size)
    if rest:
        raise InputError(
            f"{gpus} GPUs: a batch of {sequences} cannot be shared out evenly ({processes} processes x "
            f"per_device_train_batch_size {recipe.per_device_train_batch_size}); give another number of GPUs, or set "
            "nproc_per_node, per_device_train_batch_size and gradient_accumulation_steps"
        )
    return share
