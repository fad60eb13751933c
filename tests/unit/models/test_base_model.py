"""What training starts from has a manifest that says how it is used."""

from pathlib import Path

from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, Usage, read_checkpoint

USAGE = Usage(serving={"max_model_len": 512}, evaluation={"max_tokens": 48})


def checkpoint_of(result):
    return read_checkpoint(Path(result.outcome.outputs["checkpoint"]))


def test_the_demos_model_says_how_the_run_uses_it_and_its_address_does_not_depend_on_that(tmp_path):
    built = base_model(model=TINY, seed=0, store=tmp_path, usage=USAGE)
    assert checkpoint_of(built).usage == USAGE
    assert base_model(model=TINY, seed=0, store=tmp_path).reused


def test_the_demos_model_made_by_hand_is_used_as_the_demos_recipes_say(tmp_path):
    usage = checkpoint_of(base_model(model=TINY, seed=0, store=tmp_path)).usage
    assert (usage.serving["max_pixels"], usage.evaluation["max_tokens"]) == (3136, 48)


def test_a_folder_is_checked_and_not_copied(tmp_path, tiny_model):
    taken = base_model(model=str(tiny_model), seed=0, store=tmp_path, stage="model")
    assert (taken.name, checkpoint_of(taken).path) == ("model", tiny_model)
