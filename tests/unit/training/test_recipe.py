"""Training recipes: names are checked where they are read, and one thing has one name."""

import pytest

from globe.errors import InputError
from globe.recipes.load import load_recipe
from globe.rewards import NAMES
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe
from globe.training.swift import environment_of


def grpo(rewards: dict[str, float]) -> GrpoRecipe:
    return load_recipe(GrpoRecipe, "grpo", "demo", {"rewards": rewards})


def test_every_reward_can_be_given_and_a_misspelt_one_is_answered_with_all_of_them():
    assert set(grpo(dict.fromkeys(NAMES, 1.0)).rewards) == set(NAMES)
    with pytest.raises(InputError) as raised:
        grpo({"acuracy": 1.0})
    assert "rewards: " in str(raised.value)
    assert all(name in str(raised.value) for name in NAMES)


def test_a_short_name_means_the_same_recipe_as_the_full_one():
    assert grpo({"visual": 0.5}).model_dump() == grpo({"visual_precision": 0.5}).model_dump()


def test_without_a_reward_model_its_reward_does_not_count_and_the_others_do():
    recipe = grpo({"localizability": 0.5, "format": 1.0})
    assert recipe.weights(judged=True) == {"localizability": 0.5, "format": 1.0}
    assert recipe.weights(judged=False) == {"format": 1.0}
    with pytest.raises(InputError, match="reward model"):
        grpo({"localizability": 0.5}).weights(judged=False)


def test_a_number_of_processes_may_be_given_as_a_number():
    recipe = load_recipe(SftRecipe, "sft", "demo", {"nproc_per_node": 4})
    assert (recipe.gpus, environment_of(recipe)["NPROC_PER_NODE"]) == (4, "4")
    assert load_recipe(SftRecipe, "sft", "demo").gpus == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"callbacks": ["early_stop"]}, "callbacks is set by the stage"),
        ({"save_only_model": True}, "save_only_model is set by the stage"),
        ({"max_steps": 3}, "max_steps is a field of the recipe"),
        ({"num_iterations": 2}, "num_iterations is a field of the recipe"),
    ],
)
def test_arguments_that_would_undo_what_the_stage_relies_on_are_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        load_recipe(GrpoRecipe, "grpo", "demo", {"arguments": arguments})


def test_adapters_are_not_trained_under_deepspeed_which_loads_them_unchecked():
    with pytest.raises(InputError, match="without DeepSpeed"):
        load_recipe(RewardModelRecipe, "reward_model", "demo", {"deepspeed": "zero2"})
