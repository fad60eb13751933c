"""A user's folder or checkpoint stands for a stage's result, where it lies and wherever the store is moved."""

import json
import shutil
from pathlib import Path

import pytest
from model_folders import model, publish

from globe.errors import GlobeError, InputError
from globe.models.checkpoints import MANIFEST_FILE, Usage, read_checkpoint
from globe.models.given import given

USAGE = Usage(serving={"max_model_len": 512}, evaluation={"max_tokens": 48})


def checkpoint_of(result):
    return read_checkpoint(Path(result.outcome.outputs["checkpoint"]))


def test_a_given_folder_is_used_as_the_run_says_and_a_given_checkpoint_as_its_own_manifest_says(tmp_path, tiny_model):
    plain = given(stage="base_model", model=str(tiny_model), store=tmp_path / "store", usage=USAGE)
    assert checkpoint_of(plain).usage == USAGE
    own = Usage("Which town?", {"max_model_len": 4096}, {"max_tokens": 700})
    folder = model(tmp_path / "ours")
    publish(folder, usage=own)
    ours = given(stage="base_model", model=str(folder), store=tmp_path / "store", usage=USAGE)
    assert checkpoint_of(ours).usage == own
    assert json.loads((folder / MANIFEST_FILE).read_text())["prompt"] == "Which town?"


def test_a_given_folder_is_left_as_it_is_and_hashed_once(tmp_path, tiny_model):
    before = sorted(path.name for path in tiny_model.iterdir())
    first = given(stage="sft", model=str(tiny_model), store=tmp_path)
    again = given(stage="sft", model=str(tiny_model), store=tmp_path)
    assert (first.reused, again.reused) == (False, True)
    assert sorted(path.name for path in tiny_model.iterdir()) == before


def test_a_folder_that_transformers_cannot_read_and_a_checkpoint_whose_weights_were_exchanged_are_refused(tmp_path):
    with pytest.raises(InputError, match="transformers can read"):
        given(stage="sft", model=str(model(tmp_path / "m")), store=tmp_path / "store")
    publish(model(tmp_path / "n"))
    (tmp_path / "n" / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(GlobeError, match="is not the file that the manifest names"):
        given(stage="sft", model=str(tmp_path / "n"), store=tmp_path / "store")


@pytest.mark.parametrize("manifest", [True, False])
def test_a_checkpoint_of_the_same_store_is_given_again_after_a_move(tmp_path, tiny_model, manifest):
    """One that has a manifest, and one that has none: the trainer's own, say."""
    own = tmp_path / "old" / "sft" / "0123456789abcdef" / "checkpoint"
    shutil.copytree(tiny_model, own)
    if manifest:
        publish(own)
    first = given(stage="grpo", model=str(own), store=tmp_path / "old")
    shutil.move(tmp_path / "old", tmp_path / "new")
    moved = tmp_path / "new" / "sft" / "0123456789abcdef" / "checkpoint"
    again = given(stage="grpo", model=str(moved), store=tmp_path / "new")
    assert again.reused
    assert again.key == first.key
    assert read_checkpoint(tmp_path / "new" / Path(again.outcome.outputs["checkpoint"])).path == moved
    assert str(tmp_path) not in json.dumps(json.loads((again.folder / "result.json").read_text()))


def test_a_copy_of_a_store_uses_its_own_checkpoint(tmp_path):
    own = model(tmp_path / "old" / "sft" / "0123456789abcdef" / "checkpoint")
    publish(own)
    given(stage="grpo", model=str(own), store=tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    (own / "model.safetensors").write_bytes(b"altered")
    copy = tmp_path / "new" / "sft" / "0123456789abcdef" / "checkpoint"
    again = given(stage="grpo", model=str(copy), store=tmp_path / "new")
    assert again.reused
    assert (read_checkpoint(Path(again.outcome.outputs["checkpoint"])).path / "model.safetensors").read_bytes() == b"weights"
