"""A model of a shipped shape with random weights, which takes the time and memory of the real one and needs no download.

Its tokenizer is the demo's. Tokens that this does not know, pictures' own and the end of a turn are never sampled, so every
completion is as long as the recipe allows and a step's work is known: one number of each position's state is the same for every
token and no layer changes it, and the output layer turns it into a large negative logit for these tokens.
"""

import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessor

from globe.demo.tiny_model import PICTURE_TOKENS, build_tiny_model, demo_texts
from globe.training.shapes import known_shapes

LAST_LAYERS = {"qwen2.5-vl-3b": [7, 15, 23, 31], "qwen2.5-vl-7b": [7, 15, 23, 31]}
"""Vision layers that see the whole picture: fullatt_block_indexes of the public config.json."""
ROPE = {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]}
"""Of the public config.json, for heads of 128."""


def build(shape: str, folder: Path, max_pixels: int, dtype: str, device: str) -> None:
    """Write a model's folder.

    Args:
        shape: Name of a shipped shape.
        folder: Where; made if absent.
        max_pixels: Largest picture in pixels.
        dtype: torch's name of the weights' type.
        device: Where the weights are drawn; a GPU does it in seconds.
    """
    build_tiny_model(folder, demo_texts())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = {"shortest_edge": 56 * 56, "longest_edge": max_pixels}
    Qwen2VLImageProcessor(size=size).save_pretrained(folder)
    both = folder / "processor_config.json"  # newer versions of transformers keep a processor's parts in one file
    if both.is_file():
        content = json.loads(both.read_text())
        if "image_processor" in content:
            content["image_processor"]["size"] = size
            both.write_text(json.dumps(content))
    config = Qwen2_5_VLConfig.from_dict(_config(shape, json.loads((folder / "config.json").read_text())))
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=getattr(torch, dtype))
    _never_sample(model, tokenizer)
    model.generation_config = model.generation_config.from_pretrained(folder)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    model.save_pretrained(folder)


def _config(shape: str, tiny: dict) -> dict:
    if shape == "tiny":
        return tiny
    numbers = known_shapes()[shape]
    text = tiny["text_config"] | numbers["text_config"] | {"rope_parameters": ROPE, "max_position_embeddings": 32768}
    text.pop("layer_types", None)  # one for each of the tiny model's layers
    text["tie_word_embeddings"] = numbers["tie_word_embeddings"]
    vision = tiny["vision_config"] | numbers["vision_config"] | {"fullatt_block_indexes": LAST_LAYERS[shape]}
    return tiny | {"text_config": text, "vision_config": vision, "tie_word_embeddings": numbers["tie_word_embeddings"]}


@torch.no_grad()
def _never_sample(model: torch.nn.Module, tokenizer: object) -> None:
    rows = model.lm_head.weight.shape[0]
    never = [
        *range(len(tokenizer), rows),
        *map(tokenizer.convert_tokens_to_ids, (*PICTURE_TOKENS, "<|im_end|>", "<|endoftext|>")),
    ]
    model.get_input_embeddings().weight[:, 0] = 1
    if model.lm_head.weight is not model.get_input_embeddings().weight:
        model.lm_head.weight[:, 0] = 0
        model.lm_head.weight[never, 0] = -1
    else:  # what is never sampled is, but for the turn's own tokens, never read either
        model.lm_head.weight[never, 0] = -1
    for layer in model.model.language_model.layers:
        layer.self_attn.o_proj.weight[0] = 0
        layer.mlp.down_proj.weight[0] = 0
    model.model.visual.merger.mlp[-1].weight[0] = 0
    model.model.visual.merger.mlp[-1].bias[0] = 1
