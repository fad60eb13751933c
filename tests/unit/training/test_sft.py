"""What is asked of ms-swift, and what decides the stage's address. tests/integration/test_resume.py trains."""

from dataclasses import replace
from pathlib import Path

import pytest

from globe.data.shards import write_dataset
from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.training.arguments import sft_arguments
from globe.training.recipe import SftRecipe
from globe.training.sft import sft

BASE = Checkpoint("/m", "/m/globe-checkpoint.json", "b", "", "", 0, {"model.safetensors": "0"})
RECIPE = load_recipe(SftRecipe, "sft", "demo")


def addresses(store: Path) -> set[str]:
    return {path.name for path in (store / "sft").iterdir() if path.is_dir()}


def refused(base: Checkpoint, recipe: SftRecipe, data: Path, store: Path) -> set[str]:
    """Ask for a training without rows, and say at which address."""
    before = addresses(store) if store.exists() else set()
    with pytest.raises(GlobeError, match="curation kept no row to train on"):
        sft(base_model=base, data=data, recipe_name="demo", recipe=recipe, store=store)
    return addresses(store) - before


def test_without_rows_nothing_is_trained_and_the_prompt_decides_the_address_whoever_names_it(tmp_path):
    write_dataset(tmp_path / "data" / "sft", [])
    data, store = tmp_path / "data", tmp_path / "store"
    assert len(refused(BASE, RECIPE, data, store)) == 1
    assert refused(BASE, RECIPE, data, store) == set()
    assert len(refused(replace(BASE, prompt="Which town?"), RECIPE, data, store)) == 1
    assert len(refused(BASE, RECIPE.model_copy(update={"prompt": "Which town?"}), data, store)) == 1
    assert len(refused(replace(BASE, files={"model.safetensors": "1"}), RECIPE, data, store)) == 1


def test_all_weights_are_trained_on_the_stages_own_rows_in_its_own_folder(tmp_path):
    arguments = sft_arguments(RECIPE, Path("/m"), tmp_path / "train.jsonl", tmp_path / "swift")
    assert arguments["tuner_type"] == "full"
    assert arguments["dataset"] == [str(tmp_path / "train.jsonl")]
    assert arguments["output_dir"] == str(tmp_path / "swift")


def test_the_vision_tower_is_left_as_transformers_has_it_where_a_recipe_says_so(tmp_path):
    plugins = {}
    for way in ("batched", "stock"):
        arguments = sft_arguments(RECIPE.model_copy(update={"vit_attention": way}), Path("/m"), tmp_path, tmp_path)
        plugins[way] = {Path(plugin).name for plugin in arguments["external_plugins"]}
    assert plugins["batched"] - plugins["stock"] == {"swift_attention.py"}
