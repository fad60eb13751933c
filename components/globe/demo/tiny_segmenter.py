"""A SegFormer small enough to train on one CPU core in seconds: it tells sky, grass, sand, roof and wall of toy scenes apart.

Its class is that of the published segmentation models, with smaller numbers, so whatever loads those loads it unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

CLASSES = ("sky", "grass", "sand", "roof", "wall")
COLOURS = {
    "sky": (120, 180, 235),
    "grass": (70, 150, 60),
    "sand": (225, 200, 130),
    "roof": (190, 60, 45),
    "wall": (150, 150, 155),
}
SIDE_PX = 64
STEPS = 120
BATCH = 8


def toy_scene(seed: int) -> tuple[Image, np.ndarray]:
    """Draw sky over grass or sand, mostly with a house of wall and roof.

    Args:
        seed: Of what is where.

    Returns:
        An RGB picture of 64 x 64 pixels, with some noise, and the class of each pixel (height x width, by `CLASSES`).
    """
    import numpy as np
    from PIL import Image

    chance = Random(seed)
    truth = np.zeros((SIDE_PX, SIDE_PX), dtype=np.int64)
    horizon = chance.randrange(24, 48)
    truth[horizon:] = CLASSES.index(chance.choice(("grass", "sand")))
    if chance.random() < 0.75:
        width, height, left = chance.randrange(16, 28), chance.randrange(12, 20), chance.randrange(4, 32)
        foot = horizon + chance.randrange(4, 12)
        truth[foot - height : foot, left : left + width] = CLASSES.index("wall")
        truth[max(0, foot - height - 8) : foot - height, left : left + width] = CLASSES.index("roof")
    colours = np.array([COLOURS[name] for name in CLASSES], dtype=np.float32)
    noise = np.random.default_rng(seed).normal(0, 6, (SIDE_PX, SIDE_PX, 3))
    return Image.fromarray((colours[truth] + noise).clip(0, 255).astype(np.uint8)), truth


def build_tiny_segmenter(out: Path, seed: int = 0, steps: int = STEPS) -> None:
    """Train a tiny SegFormer on toy scenes, and write it with its image processor.

    Args:
        out: Folder for the model; made if absent.
        seed: Of weights and scenes; scenes from `seed + 1,000,000` on are never trained on.
        steps: Of training, with a batch of 8 scenes each.
    """
    # Late: the command line and the world must work without these heavy packages.
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    processor = SegformerImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 16, 32, 32],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=32,
        hidden_dropout_prob=0.0,
        classifier_dropout_prob=0.0,
        drop_path_rate=0.0,
        num_labels=len(CLASSES),
        id2label=dict(enumerate(CLASSES)),
        label2id={name: number for number, name in enumerate(CLASSES)},
    )
    with torch.random.fork_rng(devices=[]), _one_thread():  # which adds in one order, whatever the machine
        torch.manual_seed(seed)
        model = SegformerForSemanticSegmentation(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for step in range(steps):
            pictures, truths = zip(*(toy_scene(seed + step * BATCH + number) for number in range(BATCH)), strict=True)
            loss = model(pixel_values=_pixels(processor, pictures), labels=torch.stack([*map(torch.from_numpy, truths)])).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval().save_pretrained(out)
    processor.save_pretrained(out)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _pixels(processor: object, pictures: Sequence[Image]):  # type: ignore[no-untyped-def]
    return processor(images=list(pictures), return_tensors="pt")["pixel_values"]  # type: ignore[operator]
