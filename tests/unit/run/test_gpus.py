"""A stage that did not get its GPUs stops before it loads anything."""

import os
from pathlib import Path

import pytest
import torch

from globe.errors import InputError
from globe.run.gpus import MACHINE_VARIABLE, VISIBLE_VARIABLE, Gpus, devices, gpus_here, require_gpus, visible_gpus


def test_where_nothing_was_promised_the_devices_are_counted_and_that_is_all():
    assert require_gpus("sft", 0) == Gpus(0, devices())
    assert devices() == len([path for path in Path("/dev").iterdir() if path.name.strip("0123456789") == "nvidia"])


def test_what_is_seen_is_what_torch_sees():
    assert visible_gpus() == torch.cuda.device_count()


def test_other_gpus_than_promised_stop_the_stage_with_both_numbers():
    seen = torch.cuda.device_count()
    with pytest.raises(InputError, match=f"stage grpo was promised {seen + 1} GPUs and sees {seen}"):
        require_gpus("grpo", seen + 1)


def test_the_promised_number_passes_and_both_are_figures(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert require_gpus("sft", 3).figures == {"gpus_promised": 3, "gpus_seen": 3}


@pytest.mark.parametrize(("environment", "count", "here"), [
    ({}, 0, []), ({}, 3, ["0", "1", "2"]), ({"CUDA_VISIBLE_DEVICES": ""}, 8, []),
    ({"CUDA_VISIBLE_DEVICES": "6, 7"}, 8, ["6", "7"]), ({"CUDA_VISIBLE_DEVICES": "GPU-ab,MIG-cd"}, 2, ["GPU-ab", "MIG-cd"]),
])  # fmt: skip
def test_the_gpus_of_a_machine_are_those_that_the_environment_names_or_all(environment, count, here):
    assert gpus_here(environment, count) == here


def test_on_a_machine_that_runs_all_stages_one_takes_the_first_of_its_gpus(monkeypatch):
    monkeypatch.setenv(MACHINE_VARIABLE, "2,3,5")
    monkeypatch.setenv(VISIBLE_VARIABLE, "2,3,5")
    assert require_gpus("grpo", 2) == Gpus(2, 2)
    assert os.environ[VISIBLE_VARIABLE] == "2,3"
    with pytest.raises(InputError, match="was promised 4 GPUs and sees 3"):
        require_gpus("grpo", 4)
