"""Pictures are no larger than the server takes them, and batches fit."""

import pytest
from PIL import Image

from globe.models.processor import load_processor, rows_at_once

PROMPT = "<|vision_start|><|image_pad|><|vision_end|>red roofs"


@pytest.mark.parametrize("tokens", [4, 16, 64])
def test_a_large_picture_takes_as_many_tokens_as_it_may_whatever_the_folder_says(tiny_model, tokens):
    """As vLLM has it: rounded down to whole patches of the picture's own shape."""
    processor = load_processor(tiny_model, max_pixels=tokens * 28 * 28)
    inputs = processor(text=[PROMPT], images=[Image.new("RGB", (900, 900))], return_tensors="pt")
    found = (inputs["input_ids"] == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum()
    assert found == tokens


def test_full_size_rows_come_in_eights_and_the_demos_by_dozens():
    assert rows_at_once(1_003_520, 1024) == 8
    assert rows_at_once(3136, 48) == 64
    assert rows_at_once(12_845_056, 30_000) == 1
