"""How a checkpoint is served, wherever that is."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from globe.recipes.base import Recipe


class ServingRecipe(Recipe):
    """vLLM settings of one server."""

    dtype: Literal["float32", "bfloat16", "auto"] = "auto"
    """fp32 on CPU: there training and serving then agree to seven digits."""
    max_model_len: PositiveInt = 4096
    max_num_seqs: PositiveInt = 64
    max_pixels: PositiveInt = 1_003_520
    """The same as in training, or the model sees other pictures than it learnt on."""
    tensor_parallel_size: PositiveInt = 1
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    kv_cache_bytes: int = Field(default=0, ge=0)
    """Fixed size of the key-value cache; 0 lets vLLM take what the GPU has left."""
    enforce_eager: bool = False
    """Skip compilation: starts faster, serves slower on a GPU."""
    split_prefill: bool = True
    """Let vLLM work off a prompt in parts. On a CPU vLLM 0.32 ends at a request that has a seed and is in parts, so not there."""
    startup_timeout_s: PositiveFloat = 1800.0
    shutdown_timeout_s: PositiveInt = 45
