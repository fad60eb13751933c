"""A training is published once, and never trained again after that."""

import json
from pathlib import Path

import pytest

from globe.models.checkpoints import Checkpoint, Usage, read_checkpoint
from globe.training.runs import HISTORY_FILE, copy_model, last_value, train_once

BASE = Checkpoint("/base", "/base/globe-checkpoint.json", "base", "", "", 0, {"model.safetensors": "0"})


def trained(folder: Path) -> Path:
    final = folder / "swift" / "checkpoint-7"
    final.mkdir(parents=True)
    (final / "config.json").write_text("{}")
    (final / "model.safetensors").write_bytes(b"weights")
    for name in (
        "optimizer.pt",
        "optimizer.bin",
        "scheduler.pt",
        "rng_state_0.pth",
        "args.json",
        "whole.json",
        "training_args.bin",
    ):
        (final / name).write_bytes(b"x")
    (final / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": 7, "loss": 0.5}]}))
    return final


def test_what_only_training_needs_or_names_this_machine_is_not_published(tmp_path):
    checkpoint, history = train_once(tmp_path, base=BASE, recipe="r", train=lambda: trained(tmp_path), write=copy_model)
    assert set(checkpoint.files) == {"config.json", "model.safetensors"}
    assert (checkpoint.step, checkpoint.recipe, checkpoint.parent) == (7, "r", BASE.digest)
    assert last_value(history, "loss") == 0.5
    assert not list((tmp_path / "swift").glob("checkpoint-*"))


def test_the_published_manifest_says_how_the_model_is_used(tmp_path):
    usage = Usage("Which town?", {"max_model_len": 512}, {"max_tokens": 48})
    train_once(tmp_path, base=BASE, recipe="r", train=lambda: trained(tmp_path), write=copy_model, usage=usage)
    assert read_checkpoint(tmp_path / "checkpoint").usage == usage


def test_a_kill_after_publishing_costs_no_training(tmp_path):
    first = train_once(tmp_path, base=BASE, recipe="r", train=lambda: trained(tmp_path), write=copy_model)

    def never() -> Path:
        raise AssertionError("trained again")

    assert train_once(tmp_path, base=BASE, recipe="r", train=never, write=copy_model) == first


@pytest.mark.parametrize("missing", [HISTORY_FILE, "checkpoint/globe-checkpoint.json", "checkpoint/model.safetensors"])
def test_a_kill_before_publishing_takes_the_trainers_last_checkpoint_again(tmp_path, missing):
    first = train_once(tmp_path, base=BASE, recipe="r", train=lambda: trained(tmp_path), write=copy_model)
    (tmp_path / missing).unlink()
    assert train_once(tmp_path, base=BASE, recipe="r", train=lambda: trained(tmp_path), write=copy_model) == first
