"""A training is published once, and never trained again after that."""

import hashlib
import json
from pathlib import Path

import pytest

from globe.files import file_sha256
from globe.models.checkpoints import Checkpoint, Usage, read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.signing import KEY_VARIABLE
from globe.training.runs import HISTORY_FILE, TRAINED_FILE, copy_model, last_value, newest_saved, train_once
from globe.training.trainer_checkpoints import mark_whole, seal

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


def test_weights_that_were_hashed_when_they_were_sealed_are_not_hashed_again_to_be_published(tmp_path, monkeypatch):
    final = trained(tmp_path)
    weights = bytes(2_000_000)
    (final / "model.safetensors").write_bytes(weights)
    known = file_sha256(final / "model.safetensors")
    hashed, digest = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: hashed.append(Path(file.name).name) or digest(file, kind))
    checkpoint, _ = train_once(tmp_path, base=BASE, recipe="r", train=lambda: final, write=copy_model)
    assert checkpoint.files["model.safetensors"] == known == hashlib.sha256(weights).hexdigest()
    assert hashed == ["config.json"]


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


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef" * 2)


def once(folder: Path) -> str:
    """The digest of what a stage in this folder publishes."""
    checkpoint, _ = train_once(folder, base=BASE, recipe="r", train=lambda: trained(folder), write=copy_model)
    assert (folder / "checkpoint" / "model.safetensors").read_bytes() == b"weights"
    return checkpoint.digest


def test_a_published_checkpoint_that_this_runs_key_did_not_sign_is_trained_again(key, tmp_path):
    undisturbed = once(tmp_path / "left-alone")
    planted = tmp_path / "planted"
    (planted / "checkpoint").mkdir(parents=True)
    (planted / "checkpoint" / "config.json").write_text("{}")
    (planted / "checkpoint" / "model.safetensors").write_bytes(b"planted")
    publish_checkpoint(planted / "checkpoint", base_model="b", recipe="r", parent="", step=7)
    (planted / HISTORY_FILE).write_text('[{"step": 7, "loss": 0.0}]')
    assert newest_saved(planted) == []
    assert once(planted) == undisturbed
    assert "0.5" in (planted / HISTORY_FILE).read_text()


@pytest.mark.parametrize(
    "name", ["checkpoint/model.safetensors", "checkpoint/processing.py", "checkpoint/more/weights.bin", HISTORY_FILE]
)
def test_a_published_checkpoint_that_was_changed_since_is_trained_again(key, tmp_path, name):
    undisturbed = once(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"planted")
    assert newest_saved(tmp_path) == []
    assert once(tmp_path) == undisturbed
    assert not any((tmp_path / "checkpoint" / name).exists() for name in ("processing.py", "more"))


def test_with_a_key_a_kill_after_publishing_costs_no_training_either(key, tmp_path):
    first = train_once(tmp_path, base=BASE, recipe="r", train=lambda: trained(tmp_path), write=copy_model)
    assert newest_saved(tmp_path) == [tmp_path / "checkpoint", tmp_path / HISTORY_FILE, tmp_path / TRAINED_FILE]

    def never() -> Path:
        raise AssertionError("trained again")

    assert train_once(tmp_path, base=BASE, recipe="r", train=never, write=copy_model) == first


def test_the_newest_of_a_stage_is_its_trainers_newest_whole_one(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert newest_saved(tmp_path) == []
    for step in (9, 10, 11):
        folder = tmp_path / "swift" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "optimizer.pt").write_bytes(b"moments")
        (folder / "trainer_state.json").write_text('{"log_history": []}')
        if step < 11:
            mark_whole(folder, step, 200)
    assert newest_saved(tmp_path) == [tmp_path / "swift" / "checkpoint-10"]


def measured(output: Path, step: int, history: list[dict]) -> Path:
    """A trainer's checkpoint that knows what was logged up to its step."""
    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights of step %d" % step)
    logged = [values for values in history if values["step"] <= step]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": logged}))
    mark_whole(folder, step, 30)
    seal(folder)
    return folder


def history_of(*values: float) -> list[dict]:
    return [{"step": 10 * order, "eval_accuracy": value, "reward": 1.0} for order, value in enumerate(values)]


@pytest.mark.parametrize("signing", [False, True])
@pytest.mark.parametrize(("values", "best"), [
    ((0.9, 0.5, 0.8, 0.1), 20),
    ((0.0, 0.5, 0.5, 0.4), 10),
    ((0.0, 0.1, 0.2, 0.3), 30),
    ((0.0, 0.3, 0.2, 0.3), 10),
])  # fmt: skip
def test_what_is_published_is_the_best_that_was_measured_and_the_history_is_the_whole_one(
    tmp_path, monkeypatch, signing, values, best
):
    if signing:
        monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef" * 2)
    else:
        monkeypatch.delenv(KEY_VARIABLE, raising=False)
    output, history = tmp_path / "swift", history_of(*values)

    def train() -> Path:
        return [measured(output, step, history) for step in (10, 20, 30)][-1]

    checkpoint, logged = train_once(tmp_path, base=BASE, recipe="r", train=train, write=copy_model)
    assert checkpoint.step == best
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == b"weights of step %d" % best
    assert logged == history
    assert not list(output.glob("checkpoint-*"))


def test_what_a_stage_goes_on_from_holds_the_best_so_far(key, tmp_path):
    output, history = tmp_path / "swift", history_of(0.0, 0.9, 0.2, 0.3)
    for step in (10, 20, 30):
        measured(output, step, history)
    assert newest_saved(tmp_path) == [output / "checkpoint-30", output / "checkpoint-10"]


def test_with_a_key_a_best_that_was_changed_since_is_not_published(key, tmp_path):
    output, history = tmp_path / "swift", history_of(0.0, 0.9, 0.5, 0.3)
    folders = [measured(output, step, history) for step in (10, 20, 30)]
    (folders[0] / "model.safetensors").write_bytes(b"planted of step 10")
    checkpoint, _ = train_once(tmp_path, base=BASE, recipe="r", train=lambda: folders[-1], write=copy_model)
    assert checkpoint.step == 20
