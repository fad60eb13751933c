"""What a recipe of GRPO means for ms-swift: the arguments of `swift rlhf`."""

from pathlib import Path
from typing import Any

from globe.run.code import source_of
from globe.training.arguments import common_arguments, tuner_arguments
from globe.training.completions import SHOWN_CALLBACK
from globe.training.grpo_recipe import GrpoRecipe

OUTAGE_CALLBACK = "globe_last_step"
"""ms-swift's name of the callback by which `globe.training.swift_reward_outage` keeps what it would save."""
REFUSED_METRIC = "reward_service/refused"
"""How many completions of a step the reward service did not take, as `globe.training.swift_missing_scores` logs it."""

PLUGINS = [
    str(source_of(name))
    for name in (
        "globe.training.swift_no_vision_tokens",
        "globe.rewards.swift_plugin",
        "globe.training.swift_missing_scores",
        "globe.training.swift_reward_outage",
        "globe.training.swift_shown",
    )
]
ADAPTERS_PLUGIN = str(source_of("globe.training.swift_adapters"))
ONE_PICTURE = {"image": 1, "video": 0}
"""Media of a prompt. vLLM allows 999 of each otherwise, and measures its memory with them when it starts."""
GRPO_FIELDS = (
    *("num_generations", "temperature", "top_k", "top_p", "beta", "max_completion_length", "use_vllm"),
    *("loss_type", "scale_rewards", "importance_sampling_level", "num_iterations", "steps_per_generation"),
    *("epsilon", "epsilon_high", "overlong_filter", "log_entropy"),
    *("rollout_importance_sampling_mode", "rollout_importance_sampling_threshold"),
)
COLOCATED_FIELDS = (
    *("vllm_gpu_memory_utilization", "vllm_max_model_len", "vllm_tensor_parallel_size", "vllm_enforce_eager"),
    *("sleep_level", "offload_model", "offload_optimizer"),
)
"""Of the rollout engine inside the trainer's processes; one with its own GPUs is told when it is started."""


def grpo_arguments(recipe: GrpoRecipe, model: Path, data: Path, output: Path, weights: dict[str, float]) -> dict[str, Any]:
    """The arguments of `swift rlhf` for GRPO; see `globe.training.arguments`.

    Args:
        recipe: As there; so are the next three.
        model: The policy to start from.
        data: JSON lines of prompts.
        output: Folder of the trainer's own checkpoints.
        weights: The rewards that count, by name.
    """
    arguments = common_arguments(recipe, model, data, output) | tuner_arguments(recipe)
    merged = [ADAPTERS_PLUGIN] if recipe.tuner_type == "lora" and recipe.use_vllm else []
    arguments["external_plugins"] = [*arguments["external_plugins"], *merged, *PLUGINS]
    arguments["callbacks"] = [*arguments["callbacks"], OUTAGE_CALLBACK, SHOWN_CALLBACK]
    arguments |= {
        "rlhf_type": "grpo",
        "reward_funcs": list(weights),
        "reward_weights": list(weights.values()),
        "logging_steps": 1,
        "log_completions": True,
    }
    names = [*GRPO_FIELDS]
    if recipe.use_vllm:
        names += ["vllm_mode", "vllm_mm_processor_cache_gb", "async_generate", "move_model_batches"]
        arguments["vllm_limit_mm_per_prompt"] = ONE_PICTURE
        names += [*COLOCATED_FIELDS] if recipe.vllm_mode == "colocate" else []
    return arguments | {name: value for name in names if (value := getattr(recipe, name)) is not None} | recipe.arguments
