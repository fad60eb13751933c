"""The question that shows whether a reward service can be used: about a tiny grey picture."""

import io

from PIL import Image

from globe.data.images import data_url

SIDE_PX = 56
"""Qwen2.5-VL takes none smaller."""


def _picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (SIDE_PX, SIDE_PX), (128, 128, 128)).save(file, "PNG")
    return data_url(file.getvalue())


PROBE = (_picture(), "<think>A grey wall.</think><answer>country: France\ncity: Paris</answer>")
"""Picture and completion."""
