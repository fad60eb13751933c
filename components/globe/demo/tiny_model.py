"""A Qwen2.5-VL small enough to train on two CPU cores: real classes, random weights, its own tokenizer.

It has the architecture of the published checkpoints with smaller numbers, so whatever loads Qwen2.5-VL (transformers,
ms-swift, vLLM) loads it unchanged. Three numbers are fixed: attention heads are 32 wide, the smallest width that vLLM's CPU
attention supports; the sections of the multimodal rotary embedding add up to half of that; and a picture is scaled to about
56 x 56 pixels, which make four image tokens.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globe.answer.prompt import PROMPT
from globe.answer.render import render
from globe.demo.places import HAZES, all_cities, blank_reasoning
from globe.rewards.localizability import QUESTION

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig, Qwen2Tokenizer

CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen2.5-VL's control tokens, in its order."""

PICTURE_TOKENS = CONTROL_TOKENS[CONTROL_TOKENS.index("<|vision_start|>") :]
"""Never to be generated: a placeholder in an answer would refer to a picture that isn't there."""

TAGS = ("<think>", "</think>", "<answer>", "</answer>")

SYSTEM = "You are a helpful assistant."

# Qwen2.5-VL's own template, without numbers for the pictures.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n" + SYSTEM + "<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] in ('image', 'image_url') or 'image' in content or 'image_url' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

PICTURE_PIXELS = 56 * 56
HIDDEN = 128
LAYERS = 2
HEAD_WIDTH = 32
VISION_LAYERS = 2
CONTEXT_TOKENS = 2048
MAX_MERGED_VOCABULARY = 4096


def demo_texts() -> Iterator[str]:
    """Every text that the demo's stages put before the tokenizer."""
    yield f"system\n{SYSTEM}"
    yield f"user\n{PROMPT}\nassistant\n"
    yield QUESTION
    yield "yes"
    yield "no"
    for city in all_cities():
        yield render(city.reasoning, city.country, city.name)
    for haze in (*HAZES, ""):
        yield blank_reasoning(haze)


def build_tiny_model(out: Path, texts: Iterable[str], seed: int = 0) -> dict[str, Any]:
    """Write a randomly initialised tiny Qwen2.5-VL with its tokenizer, processor and chat template.

    Args:
        out: Folder for the checkpoint; made if absent.
        texts: What the model will read and write; each of their words becomes one token. Other texts are spelled in bytes.
        seed: Seed of the weights. The same seed and texts give the same files.

    Returns:
        parameters, vision_parameters, vocabulary, bytes, seconds.
    """
    # Late: the command line and the world must work without these heavy packages.
    import torch
    from transformers import (
        GenerationConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer(texts)
    ids = {token: int(tokenizer.convert_tokens_to_ids(token)) for token in CONTROL_TOKENS}
    config = _config(vocabulary=(len(tokenizer) + 63) // 64 * 64, ids=ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config).float()
    model.generation_config = GenerationConfig(
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]],
        pad_token_id=ids["<|endoftext|>"],
        do_sample=False,
        suppress_tokens=[ids[token] for token in PICTURE_TOKENS],
    )
    model.save_pretrained(out)
    size = {"shortest_edge": PICTURE_PIXELS, "longest_edge": PICTURE_PIXELS}  # areas, whatever their names say
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(out)
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "vision_parameters": sum(weight.numel() for weight in model.model.visual.parameters()),
        "vocabulary": len(tokenizer),
        "bytes": sum(file.stat().st_size for file in out.iterdir() if file.is_file()),
        "seconds": round(time.monotonic() - started, 1),
    }


def _train_tokenizer(texts: Iterable[str]) -> "Qwen2Tokenizer":
    """A byte-level BPE that splits text as Qwen2's does and makes each word of the texts one token."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    splitter = Qwen2Tokenizer()._tokenizer.pre_tokenizer
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.NFC()
    learner.pre_tokenizer = splitter
    learner.train_from_iterator(
        (piece for text in texts for piece in _without_tags(text)),
        trainers.BpeTrainer(
            vocab_size=MAX_MERGED_VOCABULARY,
            min_frequency=1,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[],
            show_progress=False,
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = learner.model.save(folder)
        tokenizer = Qwen2Tokenizer(
            vocab=vocabulary,
            merges=merges,
            unk_token=None,
            bos_token=None,
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
            model_max_length=CONTEXT_TOKENS,
        )
    control = [AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS]
    tokenizer.add_tokens(control, special_tokens=True)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _without_tags(text: str) -> Iterator[str]:
    """The pieces of a text between tags, which are tokens of their own."""
    for tag in (*TAGS, *CONTROL_TOKENS):
        text = text.replace(tag, "\0")
    return (piece for piece in text.split("\0") if piece)


def _config(vocabulary: int, ids: dict[str, int]) -> "Qwen2_5_VLConfig":
    from transformers import Qwen2_5_VLConfig

    half = HEAD_WIDTH // 2
    space = 3 * half // 8
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": HIDDEN,
            "intermediate_size": 3 * HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HIDDEN // HEAD_WIDTH,
            "num_key_value_heads": 2,
            "max_position_embeddings": CONTEXT_TOKENS,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [half - 2 * space, space, space],  # time, height, width
            },
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": VISION_LAYERS,
            "hidden_size": HIDDEN,
            "intermediate_size": 2 * HIDDEN,
            "num_heads": HIDDEN // HEAD_WIDTH,
            "out_hidden_size": HIDDEN,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [VISION_LAYERS - 1],
            "tokens_per_second": 2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
