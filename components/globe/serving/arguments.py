"""vLLM's command line and environment for a checkpoint: one definition for a local process and for a pod."""

import json
from pathlib import Path

from globe.data.images import MAX_PIXELS
from globe.serving.guard import MIDDLEWARE
from globe.serving.recipe import ServingRecipe

SAFE_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "PYTHONSAFEPATH": "1",  # vLLM starts `python -m ...`, which would import from whatever folder it is started in
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_COLOR": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    "VLLM_MAX_IMAGE_PIXELS": str(MAX_PIXELS),
    "VLLM_MAX_N_SEQUENCES": "64",
    # The other sampler is compiled at the first request with a top_p or top_k, by an nvcc that is not on an image's PATH.
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
}
NO_DOMAIN = "media.invalid"
"""A name that never resolves: pictures come as data URLs only, so that the server fetches nothing for anybody."""


def vllm_environment(recipe: ServingRecipe) -> dict[str, str]:
    """Environment of `vllm serve`, beside what its machine has.

    Without compilation nothing is compiled at all: vLLM's eager mode still compiles small functions when they are first
    used, which takes a C++ compiler that neither the CPU image nor every laptop has.
    """
    return SAFE_ENVIRONMENT | ({"TORCH_COMPILE_DISABLE": "1"} if recipe.enforce_eager else {})


def vllm_arguments(model: Path, name: str, host: str, port: int, recipe: ServingRecipe) -> list[str]:
    """Arguments after `vllm serve`.

    Args:
        model: Folder of the checkpoint.
        name: Model name that clients ask for.
        host: Address to listen on.
        port: Port to listen on.
        recipe: Serving settings.

    Returns:
        The argument list.
    """
    arguments = [
        str(model),
        *("--served-model-name", name),
        *("--host", host),
        *("--port", str(port)),
        *("--dtype", recipe.dtype),
        *("--max-model-len", str(recipe.max_model_len)),
        *("--max-num-seqs", str(recipe.max_num_seqs)),
        *("--limit-mm-per-prompt", json.dumps({"image": 1, "video": 0})),
        *("--mm-processor-kwargs", json.dumps({"max_pixels": recipe.max_pixels})),
        *("--mm-processor-cache-gb", "0.1"),
        *("--generation-config", "vllm"),  # sampling is the client's choice, never a file's beside the weights
        *("--allowed-media-domains", NO_DOMAIN),
        *("--shutdown-timeout", str(recipe.shutdown_timeout_s)),
        *("--max-logprobs", "20"),
        "--disable-uvicorn-access-log",
        *("--middleware", MIDDLEWARE),  # who may ask what; it takes its key from the environment
    ]
    if recipe.tensor_parallel_size > 1:
        arguments += ["--tensor-parallel-size", str(recipe.tensor_parallel_size)]
    if recipe.kv_cache_bytes:
        arguments += ["--kv-cache-memory-bytes", str(recipe.kv_cache_bytes)]
    else:
        arguments += ["--gpu-memory-utilization", str(recipe.gpu_memory_utilization)]
    if recipe.enforce_eager:
        arguments.append("--enforce-eager")
    if not recipe.split_prefill:
        arguments.append("--no-enable-chunked-prefill")
    return arguments
