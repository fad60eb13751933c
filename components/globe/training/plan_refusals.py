"""Why a training would not fit: each reason says what is too much, and what to change."""

from collections.abc import Iterator

from globe.training.grpo_recipe import GrpoRecipe
from globe.training.lengths import Lengths
from globe.training.memory import GB, Memory, least_rollout_bytes
from globe.training.recipe import TrainRecipe
from globe.training.shapes import ModelShape

MOST = 0.92
"""Share of a GPU's memory that a plan may fill; the rest is for what no formula knows."""
OF_THE_MODEL = ("weights", "reference_model", "gradients", "optimizer", "optimizer_step")
"""Parts of the memory that neither batch nor length changes."""


def too_long(recipe: TrainRecipe, most: Lengths, serving: tuple[str, int] | None) -> Iterator[str]:
    """What does not hold the longest sequence: the trainer, the rollout engine, or the server of the trained model.

    Args:
        recipe: The recipe.
        most: The longest sequence.
        serving: Name and max_model_len of the recipe that the trained model will be served with; None if not known.
    """
    parts = f"{most.image:,} image tokens + {most.prompt:,} of the prompt"
    if most.image + most.prompt > recipe.max_length:
        yield f"max_length: {parts} are more than {recipe.max_length:,}; set max_pixels lower or max_length higher"
    if not isinstance(recipe, GrpoRecipe):
        return
    parts += f" + {most.answer:,} of the completion"
    if recipe.use_vllm and most.total > recipe.vllm_max_model_len:
        limit = f"{recipe.vllm_max_model_len:,} (max_length + max_completion_length)"
        yield f"vllm_max_model_len: {parts} are more than {limit}; set max_pixels lower or max_length higher"
    if serving and most.total > serving[1]:
        yield f"max_model_len of serving recipe {serving[0]}: {parts} are more than {serving[1]:,}; set it higher"


def too_large(recipe: TrainRecipe, shape: ModelShape, memory: Memory, card: float) -> Iterator[str]:
    """What does not fit into a GPU's memory.

    Args:
        recipe: The recipe, for the GPUs that are there.
        shape: The model's shape.
        memory: What it takes on each GPU.
        card: What each GPU has, in decimal GB; 0 if not known.
    """
    if not card:
        return
    if isinstance(recipe, GrpoRecipe) and recipe.use_vllm:
        share, needed = recipe.vllm_gpu_memory_utilization * card, least_rollout_bytes(recipe, shape) / GB
        if share < needed:
            yield (
                f"rollout memory: vllm_gpu_memory_utilization {recipe.vllm_gpu_memory_utilization} of a GPU's {card:.1f} GB is "
                f"{share:.1f} GB, and the engine needs {needed:.1f} GB for its weights and one sequence; set it higher"
            )
    total = memory.total / GB
    if total > MOST * card:
        parts = sorted(memory.parts.items(), key=lambda part: part[1], reverse=True)
        largest = ", ".join(f"{name.replace('_', ' ')} {size / GB:.1f}" for name, size in parts[:3])
        filled = f"{total:.1f} GB of a GPU's {card:.1f} GB ({total / card:.0%}), above {MOST:.0%}"
        yield f"memory: {filled}; most of it: {largest}; {_less(recipe, parts[0][0])}"


def too_full(recipe: TrainRecipe, disk_gb: float, free_gb: float) -> Iterator[str]:
    """What does not fit on the disk.

    Args:
        recipe: The recipe.
        disk_gb: Decimal GB that the checkpoints take.
        free_gb: Decimal GB that are free.
    """
    if disk_gb > free_gb:
        kept = "two checkpoints, the best measured one" if getattr(recipe, "eval_rows", 0) else "two checkpoints"
        merged = ", and the model with its adapters merged," if recipe.tuner_type == "lora" else ""
        needed = f"{kept} and one being written{merged} take {disk_gb:,.1f} GB"
        yield f"disk: {needed}, and {free_gb:,.1f} GB are free; free some, or write to a larger disk"


def too_much_beside(recipe: TrainRecipe, needed_gb: float, given_gb: float) -> Iterator[str]:
    """What does not fit into the machines' own memory.

    Args:
        recipe: The recipe, for the GPUs that are there.
        needed_gb: Decimal GB that all its processes take.
        given_gb: Decimal GB that their machines or pods have in all.
    """
    if needed_gb > given_gb:
        offloads = isinstance(recipe, GrpoRecipe) and recipe.use_vllm and recipe.vllm_mode == "colocate"
        less = ", or keep less there: sleep_level, offload_model, offload_optimizer" if offloads else ""
        yield (
            f"host memory: {recipe.nproc_per_node} processes take {needed_gb:,.1f} GB of the machine's own memory, and "
            f"{given_gb:,.1f} GB are there (cluster: sizes, memory); give more{less}"
        )


def _less(recipe: TrainRecipe, largest: str) -> str:
    """What would take less memory, by the part that takes most."""
    full = recipe.tuner_type == "full"
    if full and recipe.nproc_per_node > 1 and recipe.deepspeed != "zero3":
        return "set deepspeed=zero3, which shares it out among the GPUs"
    if full and largest in OF_THE_MODEL:
        return "give more GPUs, with deepspeed=zero3, or train adapters: tuner_type=lora, deepspeed=null"
    if isinstance(recipe, GrpoRecipe) and largest == "rollout_engine" and not recipe.sleep_level:
        return "set sleep_level=1, a smaller vllm_gpu_memory_utilization or per_device_train_batch_size"
    if largest == "rollout_engine":
        return "set a smaller vllm_gpu_memory_utilization, or give larger GPUs"
    answers = ", max_completion_length" if isinstance(recipe, GrpoRecipe) else ""
    return f"set a smaller per_device_train_batch_size, max_length{answers} or max_pixels, or give larger GPUs"
