"""Pictures with what perceptual hashes go by in photos: the spectrum of natural scenes, a bright sky, things with edges."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

SIZE_PX = (640, 480)


def photo(number: int, size_px: tuple[int, int] = SIZE_PX) -> Image.Image:
    """A picture like no other, the same for the same number."""
    rng = np.random.default_rng(number)
    width, height = size_px
    down, across = np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width
    amplitude = np.hypot(down, across)
    amplitude[0, 0] = np.inf  # no mean
    noise = rng.standard_normal((4, 2, *amplitude.shape))
    # A spectrum that falls with the frequency, and colours that mostly go together, as in pictures of nature (Field, 1987).
    grey, *colours = (np.fft.irfft2((real + 1j * imaginary) / amplitude**1.1, s=(height, width)) for real, imaginary in noise)
    levels = np.stack([grey + 0.35 * colour for colour in colours], axis=-1)
    levels *= 40 / levels.std()
    levels += 128
    levels[: height // 2] += rng.uniform(0, 60) * np.linspace(1, 0, height // 2)[:, None, None]
    for _ in range(rng.integers(3, 9)):
        left, top = rng.integers(0, width * 0.9), rng.integers(0, height * 0.9)
        box = np.s_[top : top + rng.integers(20, height // 2), left : left + rng.integers(20, width // 3)]
        levels[box] = 0.4 * levels[box] + 0.6 * rng.uniform(20, 220, 3)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    """A picture as a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()
