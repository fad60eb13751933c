"""What a recipe means for ms-swift: the arguments of its commands."""

import math
from pathlib import Path
from typing import Any

from globe.run.code import source_of
from globe.training.recipe import RewardModelRecipe, SftRecipe, TrainRecipe
from globe.training.trainer_checkpoints import CALLBACK

PLUGINS = [
    str(source_of(name))
    for name in ("globe.training.swift_data_only", "globe.training.swift_template", "globe.training.swift_strict")
]
ATTENTION_PLUGIN = str(source_of("globe.training.swift_attention"))


def sft_arguments(recipe: SftRecipe, model: Path, data: Path, output: Path) -> dict[str, Any]:
    """The arguments of `swift sft` for supervised fine-tuning.

    Args:
        recipe: The recipe, for the GPUs that are there.
        model: Folder of the model to start from.
        data: JSON lines to train on.
        output: Folder of the trainer's own checkpoints.
    """
    return common_arguments(recipe, model, data, output) | tuner_arguments(recipe)


def reward_model_arguments(recipe: RewardModelRecipe, model: Path, data: Path, output: Path) -> dict[str, Any]:
    """The arguments of `swift sft` for the judge; see `sft_arguments`."""
    return common_arguments(recipe, model, data, output) | tuner_arguments(recipe)


def tuner_arguments(recipe: TrainRecipe) -> dict[str, Any]:
    """What is trained: the model itself, or adapters beside it."""
    if recipe.tuner_type == "full":
        return {"tuner_type": "full"}
    return {
        "tuner_type": "lora",
        "lora_rank": recipe.lora_rank,
        "lora_alpha": recipe.lora_alpha,
        "target_modules": recipe.target_modules,
        **({"modules_to_save": recipe.modules_to_save} if recipe.modules_to_save else {}),
    }


def common_arguments(recipe: TrainRecipe, model: Path, data: Path, output: Path) -> dict[str, Any]:
    """The ms-swift arguments that all stages have in common, from a stage's recipe."""
    return {
        "model": str(model),
        "model_type": recipe.model_type,
        "template": recipe.template or recipe.model_type,
        "external_plugins": [*PLUGINS, *([ATTENTION_PLUGIN] if recipe.vit_attention == "batched" else [])],
        "callbacks": [CALLBACK],
        "dataset": [str(data)],
        "output_dir": str(output),
        "add_version": False,
        "torch_dtype": recipe.torch_dtype,
        "attn_impl": recipe.attn_impl,
        "max_length": recipe.max_length,
        "max_steps": recipe.max_steps,
        "num_train_epochs": recipe.num_train_epochs,
        "per_device_train_batch_size": recipe.per_device_train_batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation_steps,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.lr_scheduler_type,
        "warmup_ratio": recipe.warmup_ratio,
        "freeze_vit": recipe.freeze_vit,
        "freeze_aligner": recipe.freeze_vit,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "vit_gradient_checkpointing": recipe.gradient_checkpointing,
        "save_strategy": "steps",
        "save_steps": recipe.save_steps,
        # Logged figures are means since the last log, so a resumed training gets them right only if each save comes with a log.
        "logging_steps": math.gcd(recipe.logging_steps, recipe.save_steps),
        "logging_nan_inf_filter": False,
        "strict": True,  # a row that cannot be used is an error; otherwise ms-swift trains on another in its place
        "ddp_timeout": recipe.ddp_timeout,
        "dataloader_num_workers": recipe.dataloader_num_workers,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "dataset_num_proc": 1,
        "load_from_cache_file": False,
        "split_dataset_ratio": 0,
        "report_to": ["tensorboard"],
        "load_args": False,  # an args.json beside a model or in a checkpoint says nothing: all that we want is here
        "check_model": False,  # it asks a model hub whether a local folder is the latest version
        **({"deepspeed": recipe.deepspeed} if recipe.deepspeed else {}),
        **recipe.arguments,
    }
