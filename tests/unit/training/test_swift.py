"""Driving ms-swift: how it is called, which lines of a log matter, and that nobody trains beside another."""

import fcntl

import pytest

from globe.errors import GlobeError
from globe.recipes.load import load_recipe
from globe.training import swift
from globe.training.recipe import SftRecipe
from globe.training.swift import _alone, _argv, _launcher, _new_steps, environment_of, outer_environment, tail


def test_steps_are_read_once_and_half_written_lines_wait(tmp_path):
    log = tmp_path / "logging.jsonl"
    steps = _new_steps(log)
    assert next(steps) == []
    log.write_text('{"loss": 1.0, "global_step/max_steps": "1/3"}\n{"loss": 0.5, "global')
    assert [(step, total) for step, total, _ in next(steps)] == [(1, 3)]
    with log.open("a") as file:
        file.write('_step/max_steps": "2/3"}\n{"train_runtime": 3}\n')
    assert [(step, total) for step, total, _ in next(steps)] == [(2, 3)]


def test_a_log_left_by_an_earlier_call_is_not_told_again(tmp_path):
    log = tmp_path / "logging.jsonl"
    log.write_text('{"global_step/max_steps": "1/3"}\n')
    assert next(_new_steps(log)) == []


def test_the_tail_of_a_log_starts_where_this_call_did_and_is_one_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("an older failure\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("killed by the kernel\n\nfor want of memory\n")
    assert tail(log, start) == "killed by the kernel | for want of memory"
    with log.open("a") as file:
        file.write("Traceback\n  File x\nOSError: image file is truncated\n\nmore words\n")
    assert tail(log, start) == "OSError: image file is truncated"


def test_our_own_error_is_told_without_the_traceback_around_it(tmp_path):
    log = tmp_path / "log"
    log.write_text("Traceback\n  File x\nglobe.errors.GlobeError: missing key a.b\n\nmore words\n")
    assert tail(log) == "missing key a.b"


def test_a_trainer_that_outlives_its_call_keeps_the_next_one_out(tmp_path, monkeypatch):
    monkeypatch.setattr(swift, "PREDECESSOR_PATIENCE_S", 0.2)
    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(GlobeError, match="another process is training there"), _alone(tmp_path):
            pass
    with _alone(tmp_path) as lock:
        assert lock > 2


def test_lists_become_several_values_and_booleans_lower_case():
    assert _argv({"a": ["x", "y"], "b": True, "c": 1e-3}) == ["--a", "x", "y", "--b", "true", "--c", "0.001"]
    assert _argv({"a": {"b": True}}) == ["--a", '{"b": true}']


def test_only_several_processes_need_swifts_launcher():
    assert _launcher("sft", {})[-2:] == ["-m", "swift.cli.sft"]
    assert _launcher("rlhf", {"NPROC_PER_NODE": "8"})[-1] == "rlhf"


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
