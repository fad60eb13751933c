"""Every recipe and every profile in the repository is valid."""

from pathlib import Path

import pytest

from globe.rewards import REWARDS
from globe.settings import RECIPES_FOLDER, load_recipe
from globe.training.recipe import GrpoRecipe
from pipelines.profile import PROFILES, RECIPES, Parameters, load_profile
from pipelines.training import training

FILES = sorted(RECIPES_FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_is_valid(path: Path):
    load_recipe(RECIPES[path.parent.name], path.parent.name, path.stem)


def test_every_stage_with_recipes_has_a_demo_one():
    assert {path.parent.name for path in FILES if path.stem == "demo"} == set(RECIPES)


@pytest.mark.parametrize("path", sorted((RECIPES_FOLDER / "grpo").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_grpo_recipe_names_rewards_that_exist(path: Path):
    recipe = load_recipe(GrpoRecipe, "grpo", path.stem)
    assert set(recipe.rewards) <= {*REWARDS, "localizability"}
    assert recipe.num_generations >= 8


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_profile_is_valid(path: Path):
    load_profile(path.stem, {})


def test_a_profile_knows_exactly_the_pipelines_parameters():
    assert set(Parameters.model_fields) | {"store"} == set(training.pipeline_spec.root.input_definitions.parameters)
