"""ms-swift plugin: what a rollout may sample, and with which sampler.

A model can write the token that stands for a picture. Nothing on the way removes it, and in training there are then more such
tokens than there is picture: transformers stops with "Image features and image tokens do not match". It is as unlikely as any
single token, but an epoch samples some 160 million. vLLM reads no `suppress_tokens` from a model's folder, so both engines are
told here, whichever process starts them.
"""

import os
from functools import wraps
from typing import Any

from swift.infer_engine import InferEngine

BAN = -100.0
"""The strongest bias that vLLM takes; it leaves a token 1e-43 of its probability."""

# vLLM's other sampler is compiled when it is first used, with an nvcc that is found by PATH or CUDA_HOME only: ours is not.
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")

_init = InferEngine.__init__


def ban(settings: Any, tokens: list[int]) -> Any:
    """Keep tokens from being sampled.

    Args:
        settings: vLLM's `SamplingParams`, or transformers' `GenerationConfig`.
        tokens: Their ids.

    Returns:
        The settings.
    """
    if hasattr(settings, "logit_bias"):
        settings.logit_bias = (settings.logit_bias or {}) | dict.fromkeys(tokens, BAN)
    else:
        settings.suppress_tokens = sorted({*(settings.suppress_tokens or []), *tokens})
    return settings


@wraps(_init)
def _init_without_pictures(engine: InferEngine, template: Any) -> None:
    _init(engine, template)
    prepare = engine._prepare_generation_config
    engine._prepare_generation_config = lambda *args, **options: ban(
        prepare(*args, **options), [token for token in template.placeholder_tokens if isinstance(token, int)]
    )


InferEngine.__init__ = _init_without_pictures
