"""A model's processor for asking it in this process: with pictures no larger than its server would take them, and in batches."""

from pathlib import Path
from typing import Any

PIXELS_OF_A_TOKEN = 28 * 28
"""Of Qwen2.5-VL and of InternVL3 alike."""
TOKENS_AT_ONCE = 20_000
"""Of 8 full-size pictures with their answers: about 6 GB beside the weights of a model of 8 B, at 0.3 MB a token."""
ROWS_AT_ONCE = 64


def load_processor(folder: Path, max_pixels: int) -> Any:
    """Load a model's processor, ready for batches of prompts.

    Args:
        folder: The model's folder.
        max_pixels: Larger pictures are scaled down to so many, as vLLM does it when told the same. A model that cuts pictures
            into tiles of one size, such as InternVL3, knows no such limit, here as there.
    """
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    if processor.image_processor.size.longest_edge:
        processor.image_processor.size["longest_edge"] = max_pixels  # an area, whatever its name says
    processor.tokenizer.padding_side = "left"
    return processor


def rows_at_once(max_pixels: int, text_tokens: int) -> int:
    """How many rows to ask at once, so that a GPU has room for them whatever their pictures' size.

    Args:
        max_pixels: Pixels of the largest picture.
        text_tokens: Tokens of the longest text beside it.
    """
    return max(1, min(ROWS_AT_ONCE, TOKENS_AT_ONCE // (max_pixels // PIXELS_OF_A_TOKEN + text_tokens)))
