"""A stage that did not get its GPUs stops before it loads anything."""

import pytest
import torch

from globe.errors import GlobeError
from globe.run.gpus import require_gpus, visible_gpus


def test_nothing_promised_is_nothing_to_compare():
    require_gpus("sft", 0)


def test_what_is_seen_is_what_torch_sees():
    assert visible_gpus() == torch.cuda.device_count()


def test_other_gpus_than_promised_stop_the_stage_with_both_numbers():
    seen = torch.cuda.device_count()
    with pytest.raises(GlobeError, match=f"stage grpo was promised {seen + 1} GPUs and sees {seen}"):
        require_gpus("grpo", seen + 1)


def test_the_promised_number_passes():
    require_gpus("sft", torch.cuda.device_count())
