"""How large the pictures and batches are that are measured, and the recipes of that."""

from dataclasses import dataclass
from typing import Any

from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe, TrainRecipe


@dataclass(frozen=True)
class Sizes:
    """Of pictures and batches."""

    width: int
    """Of a picture in pixels."""
    height: int
    max_pixels: int
    max_length: int
    """Tokens; of a prompt in GRPO."""
    completion: int
    """Tokens of every completion."""
    sequences: dict[str, int]
    """Of a batch, by stage; two batches make a step."""
    generations: int
    dtype: str


REAL = Sizes(500, 375, 256 * 784, 1024, 256, {"sft": 4, "reward_model": 8, "grpo": 8}, 8, "bfloat16")
TINY = Sizes(168, 112, 24 * 784, 512, 8, {"sft": 4, "reward_model": 4, "grpo": 4}, 4, "float32")


def sizes_for(shape: str) -> Sizes:
    """Photos of 500 pixels for a real model, and for the tiny one the smallest that have windows of two sizes."""
    return TINY if shape == "tiny" else REAL


def recipe_for(stage: str, sizes: Sizes, attention: str, steps: int, *, adapters: bool, vllm: bool, **values: Any) -> TrainRecipe:
    """The recipe of a measurement.

    Args:
        stage: `sft`, `reward_model` or `grpo`.
        sizes: Of pictures and batches.
        attention: `batched` or `stock`.
        steps: Of the training.
        adapters: Whether LoRA is trained instead of the model.
        vllm: Whether vLLM samples GRPO's completions, or the trainer.
        values: Further fields.
    """
    real = sizes is REAL
    fields: dict[str, Any] = {
        "torch_dtype": sizes.dtype,
        "max_length": sizes.max_length,
        "max_pixels": sizes.max_pixels,
        "max_steps": steps,
        "per_device_train_batch_size": sizes.sequences[stage],
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-6 if real else 1e-3,
        "gradient_checkpointing": real,
        "vit_attention": attention,
        "save_steps": steps,
        "logging_steps": 1,
        "dataloader_num_workers": 4 if real else 0,
        "environment": {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"} if real else {"OMP_NUM_THREADS": "1"},
    }
    if stage == "reward_model":
        return RewardModelRecipe(**fields | values)
    fields["tuner_type"] = "lora" if adapters else "full"
    if stage == "sft":
        return SftRecipe(**fields | values)
    fields |= {"rewards": {"accuracy": 1.0, "format": 1.0}, "num_generations": sizes.generations}
    fields |= {"max_completion_length": sizes.completion, "use_vllm": vllm}
    fields |= {"vllm_gpu_memory_utilization": 0.4, "sleep_level": 1} if vllm else {}
    return GrpoRecipe(**fields | values)
