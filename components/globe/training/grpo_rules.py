"""Which settings of GRPO contradict each other.

ms-swift refuses some of these after it has loaded the model. Others it corrects or passes over without a word, such as a sleeping
engine that is not in the trainer's processes, so that what trains is not what the recipe says.
"""

from collections.abc import Iterator
from typing import Any

Recipe = Any
"""A GrpoRecipe, whose module asks this one."""

CLIPPED = ("grpo", "dr_grpo", "bnpo", "dapo")
"""Losses that clip the ratio between 1 - epsilon and 1 + epsilon_high."""


def contradictions(recipe: Recipe) -> Iterator[str]:
    """What is wrong with a recipe as a whole; each complaint begins with the field that it is about."""
    yield from _of_the_engine(recipe)
    yield from _of_its_gpus(recipe)
    yield from _of_the_loss(recipe)
    yield from _of_groups(recipe)
    yield from _of_saves(recipe)


def _of_the_engine(recipe: Recipe) -> Iterator[str]:
    colocated = recipe.use_vllm and recipe.vllm_mode == "colocate"
    served = recipe.use_vllm and recipe.vllm_mode == "server"
    inside, apart, engine = "vllm_mode colocate with use_vllm", "vllm_mode server with use_vllm", "use_vllm"
    for field, is_set, fits, needed in (
        ("vllm_mode", recipe.vllm_mode == "server", served, engine),
        ("sleep_level", recipe.sleep_level > 0, colocated, inside),
        ("offload_model", recipe.offload_model, colocated, inside),
        ("offload_optimizer", recipe.offload_optimizer, colocated, inside),
        ("rollout_gpus", recipe.rollout_gpus > 0, served, apart),
        ("async_generate", recipe.async_generate, served, apart),
        ("move_model_batches", recipe.move_model_batches is not None, recipe.use_vllm, engine),
        ("rollout_importance_sampling_mode", recipe.rollout_importance_sampling_mode is not None, recipe.use_vllm, engine),
        ("vllm_tensor_parallel_size", recipe.vllm_tensor_parallel_size > 1, recipe.use_vllm, engine),
    ):
        if is_set and not fits:
            yield f"{field} ({_text(getattr(recipe, field))}) needs {needed}; set that, or leave it out"


def _of_its_gpus(recipe: Recipe) -> Iterator[str]:
    if recipe.use_vllm and recipe.vllm_mode == "server" and not recipe.rollout_gpus:
        yield "rollout_gpus: vllm_mode server gives the engine GPUs of its own; say how many"
    gpus = "rollout_gpus" if recipe.vllm_mode == "server" else "nproc_per_node"
    count = getattr(recipe, gpus)
    if recipe.use_vllm and count % recipe.vllm_tensor_parallel_size:
        yield f"vllm_tensor_parallel_size ({recipe.vllm_tensor_parallel_size}) must divide {gpus} ({count})"


def _of_the_loss(recipe: Recipe) -> Iterator[str]:
    high = recipe.epsilon_high
    if recipe.loss_type in CLIPPED and high is not None and high < recipe.epsilon:
        yield f"epsilon_high ({high}) must not be below epsilon ({recipe.epsilon})"
    if recipe.loss_type == "cispo" and (high is None or high <= 1):
        yield f"epsilon_high ({high}): cispo cuts the ratio itself off there, and 1 is no change; give more than 1, such as 5"
    if recipe.loss_type == "sapo" and high is not None:
        yield f"epsilon_high ({high}): sapo clips nothing; leave it out (arguments.tau_pos and arguments.tau_neg shape its gate)"


def _of_groups(recipe: Recipe) -> Iterator[str]:
    each, batch = recipe.nproc_per_node * recipe.per_device_train_batch_size, recipe.global_batch
    if batch % recipe.num_generations:
        steps = recipe.gradient_accumulation_steps
        while each * steps % recipe.num_generations:
            steps += 1
        yield (
            f"num_generations ({recipe.num_generations}): nproc_per_node x per_device_train_batch_size x "
            f"gradient_accumulation_steps ({recipe.nproc_per_node} x {recipe.per_device_train_batch_size} x "
            f"{recipe.gradient_accumulation_steps} = {batch}) must hold whole groups; with gradient_accumulation_steps={steps} "
            f"it would hold {each * steps // recipe.num_generations}"
        )
    if recipe.rollout_batch % recipe.num_generations:
        yield (
            f"steps_per_generation ({recipe.steps_per_generation}): a rollout of {recipe.rollout_batch} completions must hold "
            f"whole groups of num_generations ({recipe.num_generations})"
        )


def _of_saves(recipe: Recipe) -> Iterator[str]:
    """A checkpoint holds no completions, so one made while some are still to be trained on allows no exact resume."""
    rollout = recipe.batches_a_rollout
    measured = ["eval_steps"] if recipe.eval_rows else []  # each measurement ends with a checkpoint
    for field in ("save_steps", *measured):
        if getattr(recipe, field) * recipe.gradient_accumulation_steps % rollout:
            yield (
                f"{field} ({getattr(recipe, field)}) must end with a rollout, which is trained on for {rollout} batches "
                f"({recipe.gradient_accumulation_steps} a step)"
            )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
