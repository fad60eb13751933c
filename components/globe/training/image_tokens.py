"""How many tokens a picture becomes, by its size: the rules of the models' own image processors, which the tests compare with."""

import math

from globe.training.model_parts import INTERNVL, VisionShape

MAX_TILES = 12
"""Of InternVL3's image processor, without the thumbnail that it adds to more than one tile."""
SMALL_PHOTO = (500, 375)
"""Pixels of a photo as photo sites show it: about 240 tokens of Qwen2.5-VL."""


def image_tokens(vision: VisionShape, width: int, height: int, max_pixels: int) -> int:
    """How many tokens a picture becomes.

    Args:
        vision: The model's vision tower.
        width: The picture's width in pixels.
        height: Its height in pixels.
        max_pixels: Largest picture in pixels after resizing, as the recipe says.
    """
    if vision.architecture == INTERNVL:
        shrink = min(1.0, math.sqrt(max_pixels / (width * height)))  # ms-swift does it before the processor cuts it
        return tiles(round(width * shrink), round(height * shrink), vision.tile) * vision.tile**2 // vision.pixels_a_token
    wide, high = smart_resize(width, height, vision.patch * vision.merge, max_pixels)
    return wide * high // vision.pixels_a_token


def most_image_tokens(vision: VisionShape, max_pixels: int) -> int:
    """The most tokens that a picture becomes, unless it is so narrow that its shorter edge would be less than one token.

    Args:
        vision: The model's vision tower.
        max_pixels: As in `image_tokens`.
    """
    if vision.architecture == INTERNVL:  # a long picture is cut into many tiles however small it is
        return (MAX_TILES + 1) * vision.tile**2 // vision.pixels_a_token
    return max(1, max_pixels // vision.pixels_a_token)


def smart_resize(width: int, height: int, factor: int, max_pixels: int) -> tuple[int, int]:
    """Width and height to which Qwen2.5-VL's processor scales a picture: multiples of a factor, and no more than so many pixels.

    `smart_resize` in transformers' image_processing_qwen2_vl and in qwen-vl-utils.
    """
    wide, high = max(factor, round(width / factor) * factor), max(factor, round(height / factor) * factor)
    least = 4 * factor**2
    if wide * high > max_pixels:
        beta = math.sqrt(width * height / max_pixels)
        wide, high = (max(factor, math.floor(edge / beta / factor) * factor) for edge in (width, height))
    elif wide * high < least:
        beta = math.sqrt(least / (width * height))
        wide, high = (math.ceil(edge * beta / factor) * factor for edge in (width, height))
    return wide, high


def tiles(width: int, height: int, edge: int, most: int = MAX_TILES) -> int:
    """Into how many tiles InternVL's processor cuts a picture, with the thumbnail that it adds to more than one.

    `get_optimal_tiled_canvas` in transformers' image_processing_got_ocr2: the grid whose shape is closest to the picture's, and
    of several such the largest that the picture fills by half.
    """
    grids = sorted(
        ((wide, high) for wide in range(1, most + 1) for high in range(1, most + 1) if wide * high <= most),
        key=lambda grid: grid[0] * grid[1],
    )
    best, smallest = (1, 1), math.inf
    for wide, high in grids:
        difference = abs(width / height - wide / high)
        fills = width * height > 0.5 * edge**2 * wide * high
        if difference < smallest or (difference == smallest and fills):
            best, smallest = (wide, high), difference
    count = best[0] * best[1]
    return count if count == 1 else count + 1
