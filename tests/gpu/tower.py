"""The vision tower's forward pass alone, as a frozen one has it: windows one by one, by length, and by torch's kernel."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

from globe.models import attention

ROUNDS = 5
PATCH_VALUES = 3 * 2 * 14 * 14
GRIDS = {"tiny": [[1, 8, 12], [1, 18, 22]], "real": [[1, 26, 36], [1, 64, 80]]}
"""Pictures by height and width in patches: for a real tower one of 500 px, and the largest that the recipes allow."""


def tower_figures(model: Path, shape: str, device: str) -> list[dict[str, Any]]:
    """Seconds of a forward pass for each way and size of picture, four pictures at a time.

    Args:
        model: Folder with the config.json.
        shape: The shape's name.
        device: torch's name of it.
    """
    config = Qwen2_5_VLConfig.from_dict(json.loads((model / "config.json").read_text())).vision_config
    config._attn_implementation = "sdpa"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.device(device):
        tower = Qwen2_5_VisionTransformerPretrainedModel._from_config(config, dtype=dtype)
    return [_figures(tower, [grid] * 4, device, dtype) for grid in GRIDS["tiny" if shape == "tiny" else "real"]]


def _figures(tower: Any, grids: list[list[int]], device: str, dtype: torch.dtype) -> dict[str, Any]:
    grid = torch.tensor(grids, device=device)
    pixels = torch.randn(int(grid.prod(-1).sum()), PATCH_VALUES, device=device, dtype=dtype)
    has_kernel = attention.has_kernel(
        torch.zeros(1, 1, tower.config.hidden_size // tower.config.num_heads, device=device, dtype=dtype)
    )
    ways: dict[str, Callable[[], None]] = {"stock": attention.loop_over_windows, "by_length": _by_length}
    ways |= {"by_kernel": attention.batch_windows} if has_kernel else {}
    seen, seconds = {}, {}
    kept = attention.has_kernel
    for name, choose in ways.items():
        choose()
        seconds[name], seen[name] = _timed(lambda: tower(pixels, grid_thw=grid).pooler_output)
        attention.has_kernel = kept
    attention.loop_over_windows()
    largest = seen["stock"].abs().max()
    return {
        "pictures": len(grids),
        "image_tokens": int(grid.prod(-1).sum()) // 4,
        "seconds": {name: seconds.get(name) for name in ("stock", "by_length", "by_kernel")},
        "difference": {name: float((value - seen["stock"]).abs().max() / largest) for name, value in seen.items()},
    }


def _by_length() -> None:
    attention.batch_windows()
    attention.has_kernel = lambda query: False


@torch.no_grad()
def _timed(work: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    walls = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        result = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        walls.append(time.perf_counter() - started)
    return median(walls[1:]), result
