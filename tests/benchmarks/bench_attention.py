"""What taking windows together saves in the vision tower's forward and backward pass, on the CPU.

``python tests/benchmarks/bench_attention.py [--json]``. Figures are CPU seconds one by one divided by those together, so above 1
is a gain; both run in this process in turn. `tower_gain` is of a layer as wide as Qwen2.5-VL-7B's, where a CPU spends nearly all
its time in the multiplications; `narrow_gain` is of one so narrow that the calls themselves count, as they do on a GPU, which
`tests/gpu/measure_training.py` measures.
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

from globe.models.attention import batch_windows, loop_over_windows

LAYERS = 1
ROUNDS = 3
PATCH_VALUES = 3 * 2 * 14 * 14
GRID = [1, 18, 22]
"""A picture with windows cut off at its edges: time, height and width in patches."""
NARROW = {"hidden_size": 64, "num_heads": 2, "intermediate_size": 64}
TARGETS = {"tower_gain": "about 1", "narrow_gain": "at least 1.5"}


def gain(pictures: int, **widths: int) -> float:
    """Stock time over ours, forward and backward.

    Args:
        pictures: How many at once.
        widths: Of the tower, where they are not those of Qwen2.5-VL-7B's.
    """
    config = Qwen2_5_VLConfig(vision_config={"depth": LAYERS, "fullatt_block_indexes": [], **widths}).vision_config
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    tower = Qwen2_5_VisionTransformerPretrainedModel._from_config(config)
    grid = torch.tensor([GRID] * pictures)
    pixels = torch.randn(int(grid.prod(-1).sum()), PATCH_VALUES)
    return _gain(lambda: tower(pixels, grid_thw=grid).last_hidden_state.sum().backward())


def _gain(work: Callable[[], None]) -> float:
    seconds: dict[Callable[[], None], list[float]] = {loop_over_windows: [], batch_windows: []}
    work()
    for _ in range(ROUNDS):
        for choose, walls in seconds.items():
            choose()
            started = time.process_time()
            work()
            walls.append(time.process_time() - started)
    return median(seconds[loop_over_windows]) / median(seconds[batch_windows])


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    torch.set_num_threads(1)
    figures = {"tower_gain": round(gain(1), 2), "narrow_gain": round(gain(8, **NARROW), 2)}
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "attention", "figures": figures}))
        return
    for name, value in figures.items():
        print(f"{name:18}{value:>8}   {TARGETS[name]}")


if __name__ == "__main__":
    main()
