"""The table of stages agrees with what lies in the tree."""

import importlib

import pytest
import yaml

from globe.recipes.load import RECIPES_FOLDER, load_recipe
from globe.run.code import ROOT
from globe.run.stages import CAN_BE_GIVEN, GPU_STAGES, RECIPES, STAGES

IMAGES = yaml.safe_load((ROOT.parents[1] / "images" / "pins.yaml").read_text(encoding="utf-8"))
ROOMS = [folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").is_file() and folder.name != "cli"]
ELSEWHERE = {"model"}
"""`model` is `base_model` under another name: what is evaluated is not what is trained from."""


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_a_stage_runs_in_an_image_that_there_is(stage):
    assert stage.image in IMAGES


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.shown and name not in ELSEWHERE])
def test_a_stages_function_lies_in_a_file_of_its_name(name):
    files = [room for room in ROOMS if (ROOT / room / f"{name}.py").is_file()]
    assert len(files) == 1
    assert callable(getattr(importlib.import_module(f"globe.{files[0]}.{name}"), name))


def test_each_folder_of_recipes_belongs_to_a_stage_and_each_stage_with_recipes_has_one_for_the_demo():
    assert {path.name for path in RECIPES_FOLDER.iterdir() if list(path.glob("*.yaml"))} == set(RECIPES)
    for name, recipe in RECIPES.items():
        assert isinstance(load_recipe(recipe, name, "demo"), recipe)


def test_what_may_be_given_and_whose_gpus_there_are():
    assert CAN_BE_GIVEN == ("curation", "sft", "reward_model", "grpo")
    assert set(GPU_STAGES) == {"sft", "reward_model", "grpo", "serving"}
    assert all(stage.gpus in STAGES for stage in STAGES.values() if stage.gpus)
