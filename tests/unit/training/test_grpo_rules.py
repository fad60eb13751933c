"""Settings of GRPO that contradict each other are refused before anything is spent, by the field's name."""

from pathlib import Path

import pytest

from globe.errors import InputError
from globe.recipes.load import load_recipe, parse_overrides
from globe.training.arguments import common_arguments
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import SftRecipe

PAPER, OURS = "qwen2.5-vl-7b-two-rewards", "qwen2.5-vl-7b-distance"
APART = {"vllm_mode": "server", "rollout_gpus": 2}


def loaded(name: str, **overrides) -> GrpoRecipe:
    return load_recipe(GrpoRecipe, "grpo", name, overrides)


@pytest.mark.parametrize(
    ("name", "overrides", "says"),
    [
        (PAPER, {**APART, "sleep_level": 1}, "sleep_level (1) needs vllm_mode colocate"),
        (PAPER, {"use_vllm": False, "sleep_level": 2}, "sleep_level (2) needs vllm_mode colocate"),
        (PAPER, {**APART, "offload_model": True}, "offload_model (true) needs vllm_mode colocate"),
        (PAPER, {"use_vllm": False, "offload_optimizer": True}, "offload_optimizer (true) needs vllm_mode colocate"),
        (PAPER, {"async_generate": True}, "async_generate (true) needs vllm_mode server"),
        (PAPER, {"rollout_gpus": 2}, "rollout_gpus (2) needs vllm_mode server"),
        (PAPER, {"vllm_mode": "server"}, "rollout_gpus: vllm_mode server gives the engine GPUs of its own"),
        (PAPER, {"use_vllm": False, "vllm_mode": "server"}, "vllm_mode (server) needs use_vllm"),
        (PAPER, {"use_vllm": False, "move_model_batches": 4}, "move_model_batches (4) needs use_vllm"),
        (
            PAPER,
            {"use_vllm": False, "rollout_importance_sampling_mode": "token_mask"},
            "rollout_importance_sampling_mode (token_mask) needs use_vllm",
        ),
        (PAPER, {"use_vllm": False, "vllm_tensor_parallel_size": 2}, "vllm_tensor_parallel_size (2) needs use_vllm"),
        (PAPER, {"vllm_tensor_parallel_size": 3}, "vllm_tensor_parallel_size (3) must divide nproc_per_node (8)"),
        (PAPER, {**APART, "vllm_tensor_parallel_size": 4}, "vllm_tensor_parallel_size (4) must divide rollout_gpus (2)"),
        (PAPER, {"epsilon_high": 0.1}, "epsilon_high (0.1) must not be below epsilon (0.2)"),
        (OURS, {"epsilon": 0.3}, "epsilon_high (0.28) must not be below epsilon (0.3)"),
        (PAPER, {"loss_type": "cispo"}, "epsilon_high (None): cispo"),
        (OURS, {"loss_type": "cispo"}, "epsilon_high (0.28): cispo"),
        (OURS, {"loss_type": "sapo"}, "epsilon_high (0.28): sapo clips nothing"),
        (PAPER, {"num_generations": 24}, "num_generations (24): nproc_per_node x per_device_train_batch_size x gradient_ac"),
        (PAPER, {"gradient_accumulation_steps": 4, "steps_per_generation": 1, "num_generations": 32, "save_steps": 1,
                 "per_device_train_batch_size": 2}, "steps_per_generation (1): a rollout of 16 completions must hold"),
        (PAPER, {"num_iterations": 2, "save_steps": 25}, "save_steps (25) must end with a rollout"),
        (PAPER, {"num_iterations": 2, "eval_rows": 100, "eval_steps": 25}, "eval_steps (25) must end with a rollout"),
        ("qwen2.5-vl-7b-three-rewards", {"stall_s": 1800}, "reward_patience_s (1800) must be below stall_s (1800)"),
        (PAPER, {"tuner_type": "lora"}, "deepspeed (zero3): adapters are trained without DeepSpeed"),
        (PAPER, {"modules_to_save": ["lm_head"]}, "modules_to_save stand beside adapters"),
        (PAPER, {"sleep_leval": 1}, "sleep_leval"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_by_name(name, overrides, says):
    with pytest.raises(InputError) as raised:
        loaded(name, **overrides)
    assert says in str(raised.value)


def test_the_refusal_of_24_generations_says_the_accumulation_that_makes_it_right():
    with pytest.raises(InputError, match=r"8 x 8 x 2 = 128.*with gradient_accumulation_steps=3 it would hold 8"):
        loaded(PAPER, num_generations=24)
    recipe = loaded(PAPER, num_generations=24, gradient_accumulation_steps=3)
    assert recipe.global_batch == 8 * 24


@pytest.mark.parametrize(
    "overrides",
    [
        {**APART, "async_generate": True, "move_model_batches": 4},
        {**APART, "vllm_tensor_parallel_size": 2},
        {"vllm_tensor_parallel_size": 4, "sleep_level": 2, "offload_model": True, "offload_optimizer": True},
        {"loss_type": "cispo", "epsilon_high": 5.0},
        {"loss_type": "sapo"},
        {"importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4, "steps_per_generation": 4},
        {"num_iterations": 2, "eval_rows": 100},
        {"eval_steps": 25},
        {"stall_s": 600.0},
        {"tuner_type": "lora", "deepspeed": None, "modules_to_save": ["lm_head"]},
    ],
)
def test_what_goes_together_is_taken(overrides):
    recipe = loaded(PAPER, **overrides)
    assert {field: getattr(recipe, field) for field in overrides} == overrides


def test_null_switches_zero_off_in_every_stage():
    for kind, stage, name in ((SftRecipe, "sft", "qwen2.5-vl-7b"), (GrpoRecipe, "grpo", PAPER)):
        here = Path("/m")
        assert common_arguments(load_recipe(kind, stage, name), here, here, here)["deepspeed"] == "zero3"
        off = load_recipe(kind, stage, name, parse_overrides(["deepspeed=null"]))
        assert "deepspeed" not in common_arguments(off, here, here, here)
