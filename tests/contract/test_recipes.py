"""Every recipe and every profile in the repository is valid."""

from pathlib import Path

import pytest

from globe.recipes.load import RECIPES_FOLDER, load_recipe, load_stage_recipe
from globe.rewards import NAMES
from globe.run.stages import RECIPES
from globe.training.recipe import GrpoRecipe
from pipelines.catalog import PIPELINES
from pipelines.profile import PROFILES, arguments_of, load_profile

FILES = sorted(RECIPES_FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_is_valid(path: Path):
    load_recipe(RECIPES[path.parent.name], path.parent.name, path.stem)


def test_every_stage_with_recipes_has_a_demo_one():
    assert {path.parent.name for path in FILES if path.stem == "demo"} == set(RECIPES)


@pytest.mark.parametrize("path", sorted((RECIPES_FOLDER / "grpo").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_grpo_recipe_names_rewards_that_exist(path: Path):
    recipe = load_recipe(GrpoRecipe, "grpo", path.stem)
    assert set(recipe.rewards) <= set(NAMES)
    assert recipe.num_generations >= 8


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_profile_gives_valid_arguments_to_every_pipeline(path: Path, pipeline: str):
    arguments = arguments_of(PIPELINES[pipeline], load_profile(path.stem), {})
    for stage in PIPELINES[pipeline].recipes:
        load_stage_recipe(RECIPES[stage], stage, arguments["recipes"], arguments["overrides"])
