"""Adapters trained by the real ms-swift: a stage publishes the whole model with them merged in, and GRPO goes on from it."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_data import curated_toy

from globe.data.shards import read_dataset, write_dataset
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, Checkpoint, read_intact
from globe.models.weights import load_model
from globe.recipes.load import load_recipe
from globe.training.arguments import sft_arguments
from globe.training.grpo import grpo
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import SftRecipe
from globe.training.rows import answer_row, export
from globe.training.sft import sft
from globe.training.swift import train

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
STEPS = 3
ADAPTERS = {"tuner_type": "lora", "freeze_vit": True, "lora_rank": 4, "lora_alpha": 8}
SFT = load_recipe(SftRecipe, "sft", "demo", {**ADAPTERS, "max_steps": STEPS, "save_steps": STEPS, "learning_rate": 0.01})
SHORT = {"max_steps": 1, "save_steps": 1, "per_device_train_batch_size": 8, "rewards": {"format": 1.0}}


@pytest.fixture(scope="module")
def curated(tmp_path_factory) -> Path:
    return curated_toy(tmp_path_factory.mktemp("store"), 60)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Checkpoint:
    made = base_model(model=TINY, seed=0, store=tmp_path_factory.mktemp("base"))
    return read_intact(Path(made.outcome.outputs["checkpoint"]))


@pytest.fixture(scope="module")
def published(base, curated, tmp_path_factory) -> Checkpoint:
    """What the stage makes of a training of adapters."""
    made = sft(base_model=base, data=curated, recipe_name="demo", recipe=SFT, store=tmp_path_factory.mktemp("sft"))
    return read_intact(Path(made.outcome.outputs["checkpoint"]))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, Any] = load_model(folder).state_dict()
    return found


def test_what_is_published_is_the_base_and_what_the_adapters_add_to_it(base, curated, published, tmp_path):
    rows = ((row, partial(answer_row, prompt=base.prompt)) for row in read_dataset(curated / "sft"))
    export(rows, tmp_path / "train.jsonl", tmp_path / "pictures")
    arguments = sft_arguments(SFT, base.path, tmp_path / "train.jsonl", tmp_path / "sft" / "key" / "swift")
    last = train("sft", arguments, SFT, tmp_path / "log", lambda *_: None)  # the stage's training once more, with what it removes
    adapter = load_file(last / "adapter_model.safetensors")
    assert not (last / "model.safetensors").exists()

    expected, changed = weights(base.path), 0
    for name in [name for name in adapter if name.endswith(".lora_A.weight")]:
        down, up = adapter[name], adapter[name.replace("lora_A", "lora_B")]
        layer = name.removeprefix("base_model.model.").replace(".lora_A", "")
        assert up.abs().max() > 0
        expected[layer] = expected[layer] + SFT.lora_alpha / SFT.lora_rank * up @ down
        changed += 1
    assert changed == 2 * 7  # two layers of the language model with seven projections each
    found = weights(published.path)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-6, rtol=0)


@pytest.mark.long
def test_grpo_with_adapters_starts_from_it_and_publishes_a_whole_model(curated, published, tmp_path):
    write_dataset(tmp_path / "few" / "pool", list(read_dataset(curated / "pool"))[:4])
    recipe = load_recipe(GrpoRecipe, "grpo", "demo", {**ADAPTERS, **SHORT})
    asked = {"policy": published, "data": tmp_path / "few", "judge": None, "reward_url": ""}
    made = grpo(**asked, recipe_name="demo", recipe=recipe, store=tmp_path / "grpo")
    trained = read_intact(Path(made.outcome.outputs["checkpoint"]))
    assert (trained.parent, trained.step) == (published.digest, 1)
    assert weights(trained.path).keys() == weights(published.path).keys()
    assert not list(trained.path.glob("adapter*"))
