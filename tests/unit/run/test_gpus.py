"""A stage that did not get its GPUs stops before it loads anything."""

from pathlib import Path

import pytest
import torch

from globe.errors import InputError
from globe.run.gpus import Gpus, devices, require_gpus, visible_gpus


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
