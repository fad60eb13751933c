"""A picture has as many tokens as the models' own image processors make of it."""

import numpy as np
import pytest
from PIL import Image

from globe.training.image_tokens import SMALL_PHOTO, image_tokens, most_image_tokens
from globe.training.shapes import model_shape

SIZES = [(500, 375), (375, 500), (1536, 1024), (4000, 3000), (57, 56), (28, 28), (640, 100), (100, 2000), (1003, 1001)]
QWEN, INTERNVL = model_shape("qwen2.5-vl-7b").vision, model_shape("internvl3-8b").vision


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.zeros((height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("max_pixels", [1_003_520, 3136, 501_760])
def test_qwen_sees_as_many_tokens_as_its_processor_makes(size, max_pixels):
    from transformers import Qwen2VLImageProcessor

    processor = Qwen2VLImageProcessor(size={"shortest_edge": 3136, "longest_edge": max_pixels})
    _, high, wide = processor(images=picture(*size))["image_grid_thw"][0]
    found = image_tokens(QWEN, *size, max_pixels)
    assert found == int(high) * int(wide) // 4
    if max_pixels > 3136:
        assert found <= most_image_tokens(QWEN, max_pixels)


@pytest.mark.parametrize("size", SIZES)
def test_internvl_sees_as_many_tokens_as_its_processor_cuts_tiles(size):
    from transformers.models.got_ocr2 import GotOcr2ImageProcessor

    processor = GotOcr2ImageProcessor(size={"height": 448, "width": 448}, crop_to_patches=True)
    cut = processor(images=picture(*size), return_tensors="np")["num_patches"]
    found = image_tokens(INTERNVL, *size, max_pixels=10**9)
    assert found == int(np.sum(cut)) * 256
    assert found <= most_image_tokens(INTERNVL, 10**9)


def test_the_largest_pictures_are_those_the_recipes_reckon_with():
    assert most_image_tokens(QWEN, 1_003_520) == 1280
    assert most_image_tokens(INTERNVL, 1_003_520) == 3328
    assert image_tokens(QWEN, *SMALL_PHOTO, 1_003_520) == pytest.approx(240, abs=10)
