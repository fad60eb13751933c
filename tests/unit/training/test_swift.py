"""Driving ms-swift: how it is called, which lines of a log matter, and that nobody trains beside another."""

import fcntl
import os
import pickle
import sys
import time
from pathlib import Path

import pytest

from globe.errors import GlobeError, Stopped
from globe.recipes.load import load_recipe
from globe.signing import KEY_VARIABLE, SIGNED_VARIABLE
from globe.training import swift
from globe.training.recipe import SftRecipe
from globe.training.swift import _alone, _launcher, _tended, arguments_line, environment_of, outer_environment
from globe.training.trainer_checkpoints import holds, mark_whole
from globe.training.trainjob.job import Nodes


def test_a_trainer_that_outlives_its_call_keeps_the_next_one_out(tmp_path, monkeypatch):
    monkeypatch.setattr(swift, "PREDECESSOR_PATIENCE_S", 0.2)
    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(GlobeError, match="another process is training there"), _alone(tmp_path):
            pass
    with _alone(tmp_path) as lock:
        assert lock > 2


def test_lists_become_several_values_and_booleans_lower_case():
    assert arguments_line({"a": ["x", "y"], "b": True, "c": 1e-3}) == ["--a", "x", "y", "--b", "true", "--c", "0.001"]
    assert arguments_line({"a": {"b": True}}) == ["--a", '{"b": true}']


def test_only_several_processes_need_torchrun():
    assert _launcher("sft", {})[1:] == ["-m", "swift.cli.sft"]
    several = _launcher("rlhf", {"NPROC_PER_NODE": "8"})
    assert several[1:5] == ["-m", "torch.distributed.run", "--nproc_per_node", "8"]
    assert several[-2:] == ["-m", "swift.cli.rlhf"]


def test_what_decides_a_training_comes_from_the_recipe_and_never_from_who_calls(monkeypatch):
    deciding = {"NPROC_PER_NODE", "WORLD_SIZE", "LOCAL_RANK", "IMAGE_MAX_TOKEN_NUM", "MIN_PIXELS", "ACCELERATE_USE_FSDP"}
    for name in deciding:
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    kept = outer_environment()
    assert not deciding & kept.keys()
    assert kept["CUDA_VISIBLE_DEVICES"] == "1"
    recipe = load_recipe(SftRecipe, "sft", "qwen2.5-vl-7b")
    assert (kept | environment_of(recipe))["NPROC_PER_NODE"] == "8"


def save(output: Path, step: int) -> Path:
    """What the trainer does."""
    folder = output / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "optimizer.pt").write_bytes(b"moments")
    (folder / "trainer_state.json").write_text('{"log_history": []}')
    mark_whole(folder, step, 9)
    return folder


@pytest.mark.parametrize("key", ["", "0123456789abcdef" * 2])
def test_checkpoints_are_sealed_while_the_trainer_works_and_only_the_one_before_the_newest_is_kept(tmp_path, monkeypatch, key):
    monkeypatch.setenv(KEY_VARIABLE, key)
    monkeypatch.setattr(swift, "POLL_S", 0.01)
    with _tended(tmp_path):
        for step in (1, 2, 3):
            folder = save(tmp_path, step)
            deadline = time.monotonic() + 30
            while not holds(folder):
                assert time.monotonic() < deadline
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]
    assert holds(tmp_path / "checkpoint-2")


def test_of_checkpoints_that_follow_each_other_quickly_each_is_sealed_for_any_may_be_the_best(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef" * 2)
    with _tended(tmp_path):
        folders = [save(tmp_path, step) for step in (1, 2)]
    assert all(holds(folder) for folder in folders)


def test_the_last_save_of_a_training_that_fails_is_sealed(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef" * 2)

    def fails() -> None:
        save(tmp_path, 1)
        raise GlobeError("out of memory")

    with pytest.raises(GlobeError, match="out of memory"), _tended(tmp_path):
        fails()
    assert holds(tmp_path / "checkpoint-1")


class Bait:
    """Whoever unpickles it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_without_deepspeed_a_trainer_runs_no_program_that_it_loads_whoever_asks_for_it(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    assert name not in environment_of(load_recipe(SftRecipe, "sft", "qwen2.5-vl-7b"))  # DeepSpeed could not resume
    environment = outer_environment() | environment_of(load_recipe(SftRecipe, "sft", "demo"))
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in environment
    monkeypatch.delenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    torch.save(Bait(tmp_path / "marker"), tmp_path / "optimizer.pt")
    monkeypatch.setenv(name, environment[name])
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "optimizer.pt", weights_only=False)
    assert not (tmp_path / "marker").exists()
    monkeypatch.delenv(name)
    torch.load(tmp_path / "optimizer.pt", weights_only=False)
    assert (tmp_path / "marker").exists()


def test_the_trainer_gets_no_key_to_what_it_never_talks_to(monkeypatch):
    keys = {KEY_VARIABLE, SIGNED_VARIABLE, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GLOBE_TEACHER_API_KEY", "KFP_TOKEN"}
    for name in (*keys, "HTTPS_PROXY", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "x" * 40)
    kept = outer_environment()
    assert not keys & kept.keys()
    assert {"HTTPS_PROXY", "MLFLOW_TRACKING_URI"} <= kept.keys()


@pytest.mark.parametrize(("at_work", "error"), [(True, Stopped), (False, GlobeError)])
def test_nodes_that_were_at_work_and_end_early_had_been_told_to_by_an_earlier_call(tmp_path, monkeypatch, at_work, error):
    output = tmp_path / "sft" / "key" / "swift"
    output.mkdir(parents=True)
    save(output, 3)
    monkeypatch.setattr(swift, "trains_on_nodes", lambda nodes, output: at_work)
    monkeypatch.setattr(swift, "on_nodes", lambda *_, **__: [sys.executable, "-c", ""])  # a job that completes
    recipe = load_recipe(SftRecipe, "sft", "demo")
    nodes = Nodes(2, 0, "image", "claim", "/mnt/globe")
    with pytest.raises(GlobeError) as raised:
        swift.train("sft", {"output_dir": str(output)}, recipe, tmp_path / "log", lambda *_: None, nodes=nodes)
    assert type(raised.value) is error
    assert (output / "checkpoint-3").is_dir()
