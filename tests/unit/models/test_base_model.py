"""What training starts from: the demo's model and folders that a user gives, each with a manifest that says how it is used."""

import json
import shutil
from pathlib import Path

from globe.models.base_model import base_model, given
from globe.models.checkpoints import MANIFEST_FILE, TINY, Usage, publish_checkpoint, read_checkpoint

USAGE = Usage(serving={"max_model_len": 512}, evaluation={"max_tokens": 48})


def checkpoint_of(result):
    return read_checkpoint(Path(result.outcome.outputs["checkpoint"]))


def hugging_face(folder: Path) -> Path:
    """A model that somebody else made: ours, without its manifest."""
    made = checkpoint_of(base_model(model=TINY, seed=0, store=folder.with_name("made")))
    shutil.copytree(made.path, folder, ignore=shutil.ignore_patterns(MANIFEST_FILE))
    return folder


def test_the_demos_model_says_how_the_run_uses_it_and_its_address_does_not_depend_on_that(tmp_path):
    built = base_model(model=TINY, seed=0, store=tmp_path, usage=USAGE)
    assert checkpoint_of(built).usage == USAGE
    assert base_model(model=TINY, seed=0, store=tmp_path).reused


def test_the_demos_model_made_by_hand_is_used_as_the_demos_recipes_say(tmp_path):
    usage = checkpoint_of(base_model(model=TINY, seed=0, store=tmp_path)).usage
    assert (usage.serving["max_pixels"], usage.evaluation["max_tokens"]) == (3136, 48)


def test_a_given_folder_is_used_as_the_run_says_and_a_given_checkpoint_as_its_own_manifest_says(tmp_path):
    plain = given(stage="base_model", model=str(hugging_face(tmp_path / "plain")), store=tmp_path / "store", usage=USAGE)
    assert checkpoint_of(plain).usage == USAGE
    own = Usage("Which town?", {"max_model_len": 4096}, {"max_tokens": 700})
    folder = hugging_face(tmp_path / "ours")
    publish_checkpoint(folder, base_model="b", recipe="r", parent="p", step=3, usage=own)
    ours = given(stage="base_model", model=str(folder), store=tmp_path / "store", usage=USAGE)
    assert checkpoint_of(ours).usage == own
    assert json.loads((folder / MANIFEST_FILE).read_text())["prompt"] == "Which town?"
