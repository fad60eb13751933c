"""A recipe on other GPUs than it was written for: the optimiser sees the same batch, or the run is refused."""

import pytest

from globe.errors import InputError
from globe.recipes.load import load_recipe
from globe.training.fitted import fitted
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe

PAPER = load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards")


@pytest.mark.parametrize("gpus", [8, 4, 2, 1])
@pytest.mark.parametrize(
    ("kind", "stage", "name", "batch"),
    [
        (SftRecipe, "sft", "qwen2.5-vl-7b", 64),
        (SftRecipe, "sft", "internvl3-8b", 64),
        (RewardModelRecipe, "reward_model", "qwen2.5-vl-7b", 128),
        (GrpoRecipe, "grpo", "qwen2.5-vl-7b-three-rewards", 128),
        (GrpoRecipe, "grpo", "internvl3-8b-distance", 512),
    ],
)
def test_fewer_gpus_accumulate_more_and_nothing_else_changes(kind, stage, name, batch, gpus):
    recipe = load_recipe(kind, stage, name)
    here = fitted(recipe, gpus)
    assert (here.gpus, here.nproc_per_node, here.global_batch) == (gpus, gpus, batch)
    changed = {field for field, value in here.model_dump().items() if value != recipe.model_dump()[field]}
    assert changed == (set() if gpus == 8 else {"nproc_per_node", "gradient_accumulation_steps"})


def test_one_card_fits_recipes_of_one_card_and_two_share_them():
    recipe = load_recipe(SftRecipe, "sft", "1x80gb-lora")
    assert fitted(recipe, 1) == recipe
    assert fitted(recipe, 2).gradient_accumulation_steps == recipe.gradient_accumulation_steps // 2


def test_without_gpus_a_recipe_stays_as_it_is():
    assert fitted(PAPER, 0) is PAPER


@pytest.mark.parametrize("gpus", [3, 5, 6, 7, 32])
def test_a_batch_that_cannot_be_shared_out_is_refused_with_the_fields_that_make_it(gpus):
    with pytest.raises(InputError, match=f"{gpus} GPUs: a batch of 128 .*per_device_train_batch_size 8") as raised:
        fitted(PAPER, gpus)
    assert "gradient_accumulation_steps" in str(raised.value)


def test_a_rollout_that_is_used_for_several_steps_stays_as_large():
    recipe = load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards", {"steps_per_generation": 4})
    here = fitted(recipe, 4)
    assert (here.steps_per_generation, here.rollout_batch) == (8, recipe.rollout_batch)
    with pytest.raises(InputError, match="16 GPUs: a batch of 64 "):
        fitted(load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards", {"steps_per_generation": 1}), 16)


def test_the_rollout_engines_own_gpus_stay_its_own():
    apart = {"vllm_mode": "server", "rollout_gpus": 2, "nproc_per_node": 6, "per_device_train_batch_size": 4}
    recipe = load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards", {**apart, "gradient_accumulation_steps": 4})
    assert recipe.gpus == 8
    here = fitted(recipe, 4)
    assert (here.nproc_per_node, here.rollout_gpus, here.global_batch) == (2, 2, 96)
    with pytest.raises(InputError, match="2 GPUs: the recipe needs 2 for the rollouts"):
        fitted(recipe, 2)


def test_an_engine_over_several_gpus_needs_as_many():
    recipe = load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards", {"vllm_tensor_parallel_size": 2})
    assert fitted(recipe, 4).nproc_per_node == 4
    with pytest.raises(InputError, match=r"1 GPUs: .*vllm_tensor_parallel_size \(2\) must divide nproc_per_node \(1\)"):
        fitted(recipe, 1)
