"""A recipe's further ms-swift arguments: a name that ms-swift does not know ends the stage before it trains anything."""

import sys

import pytest

from globe.data.shards import write_dataset
from globe.errors import InputError
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.training.further_arguments import require_known_arguments
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import SftRecipe
from globe.training.sft import sft

BASE = Checkpoint("/m", "/m/globe-checkpoint.json", "b", "", "", 0, {"model.safetensors": "0"})


def with_arguments(**arguments) -> SftRecipe:
    return load_recipe(SftRecipe, "sft", "demo", {"arguments": arguments})


def test_a_name_that_ms_swift_does_not_know_ends_the_stage_with_its_field_and_the_names_meant(tmp_path):
    write_dataset(tmp_path / "data" / "sft", [])
    recipe = with_arguments(weight_decay=0.1, neftune_noise_alfa=5)
    with pytest.raises(InputError, match=r"arguments\.neftune_noise_alfa: .*did you mean neftune_noise_alpha"):
        sft(base_model=BASE, data=tmp_path / "data", recipe_name="demo", recipe=recipe, store=tmp_path / "store")
    assert not list(tmp_path.glob("store/**/train.jsonl"))


def test_an_argument_of_grpo_alone_is_known_to_grpo_alone():
    recipe = load_recipe(GrpoRecipe, "grpo", "demo", {"arguments": {"tau_pos": 1.0}})
    require_known_arguments("rlhf", recipe)
    with pytest.raises(InputError, match=r"arguments\.tau_pos: `swift sft` of ms-swift [0-9.]+ has no such argument"):
        require_known_arguments("sft", with_arguments(tau_pos=1.0))


def test_what_checks_a_run_knows_the_names_without_ms_swift(monkeypatch):
    monkeypatch.setitem(sys.modules, "swift", None)  # as in an image without it: an import fails
    require_known_arguments("sft", with_arguments(neftune_noise_alpha=5))
    with pytest.raises(InputError, match=r"arguments\.weight_decai: `swift sft` of ms-swift [0-9.]+ has no such"):
        require_known_arguments("sft", with_arguments(weight_decai=0.1))
