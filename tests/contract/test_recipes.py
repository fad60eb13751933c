"""Every recipe and every profile in the repository is valid."""

import shutil
from pathlib import Path

import pytest

from globe.recipes import load
from globe.recipes.load import RECIPES_FOLDER, known_recipes, load_recipe, load_stage_recipe
from globe.rewards import NAMES
from globe.run.stages import RECIPES
from globe.training.grpo_recipe import GrpoRecipe
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


def test_the_published_checkpoints_are_asked_about_all_rows_as_a_benchmark_is():
    """The recipe for photos to learn from leaves out those far from towns, and lets a fifth of all be lost."""
    recipes = load_profile("published").parameters["recipes"]
    assert recipes["source"] == PIPELINES["evaluation"].parameters().recipes["source"] == "benchmark"


def test_a_backbone_is_added_with_yaml_alone(tmp_path, monkeypatch):
    shutil.copytree(RECIPES_FOLDER, tmp_path / "recipes")
    monkeypatch.setattr(load, "RECIPES_FOLDER", tmp_path / "recipes")
    model = {"model_type": "llava_onevision_hf", "template": "llava_onevision_hf", "max_length": 8192}
    added = {
        "sft": "qwen2.5-vl-7b",
        "reward_model": "qwen2.5-vl-7b",
        "grpo": "qwen2.5-vl-7b-three-rewards",
    }
    for stage, base in added.items():
        text = f"extends: {base}\n" + "".join(f"{field}: {value}\n" for field, value in model.items())
        (tmp_path / "recipes" / stage / "llava-onevision-7b.yaml").write_text(text)
        new, old = (load_recipe(RECIPES[stage], stage, name) for name in ("llava-onevision-7b", base))
        assert new.model_dump() == old.model_dump() | model
        assert "llava-onevision-7b" in known_recipes(stage).split(", ")
        assert load_stage_recipe(RECIPES[stage], stage, {stage: "llava-onevision-7b"}, {}) == new
