"""What taking windows together saves in the vision tower: calls of torch's attention, and time where a CPU can show it.

``python tests/benchmarks/bench_attention.py [--json]``.

calls_one_by_one, calls_together   for a picture of 1,260 image tokens with edges, forward through all 32 layers
tower_gain   CPU seconds one by one divided by those together, forward and backward, of a layer as wide as Qwen2.5-VL-7B's. A CPU
             spends its time in the multiplications either way, so this only shows that nothing is lost; a GPU waits for each
             call, which `tests/gpu/measure_training.py` measures
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

from globe.models.attention import batch_windows, loop_over_windows

ROUNDS = 3
PATCH_VALUES = 3 * 2 * 14 * 14
NARROW = {"hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": 32}
TARGETS = {"calls_one_by_one": "", "calls_together": "at most 128", "tower_gain": "at least 0.95"}


class Calls(TorchFunctionMode):
    """Counts calls of torch's attention."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, function: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function is scaled_dot_product_attention
        return function(*args, **(kwargs or {}))


def tower(**settings: Any) -> Any:
    """A vision tower with random weights, as Qwen2.5-VL-7B's but for some settings."""
    config = Qwen2_5_VLConfig(vision_config=settings).vision_config
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    return Qwen2_5_VisionTransformerPretrainedModel._from_config(config)


def picture(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of so many patches: its values, and its time, height and width."""
    return torch.randn(height * width, PATCH_VALUES), torch.tensor([[1, height, width]])


def calls() -> dict[str, int]:
    """Calls of torch's attention, either way."""
    narrow, (pixels, grid) = tower(**NARROW), picture(60, 84)
    counts = {}
    for name, choose in (("calls_one_by_one", loop_over_windows), ("calls_together", batch_windows)):
        choose()
        with torch.no_grad(), Calls() as counted:
            narrow(pixels, grid_thw=grid)
        counts[name] = counted.count
    return counts


def tower_gain() -> float:
    """Stock CPU time over ours, in turn."""
    layer, (pixels, grid) = tower(depth=1, fullatt_block_indexes=[]), picture(10, 12)
    seconds: dict[Callable[[], None], list[float]] = {loop_over_windows: [], batch_windows: []}
    for _ in range(ROUNDS + 1):
        for choose, spent in seconds.items():
            choose()
            started = time.process_time()
            layer(pixels, grid_thw=grid).last_hidden_state.sum().backward()
            spent.append(time.process_time() - started)
    return median(seconds[loop_over_windows][1:]) / median(seconds[batch_windows][1:])


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    torch.set_num_threads(1)
    figures = {**calls(), "tower_gain": round(tower_gain(), 2)}
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "attention", "figures": figures}))
        return
    for name, value in figures.items():
        print(f"{name:18}{value:>8}   {TARGETS[name]}")


if __name__ == "__main__":
    main()
