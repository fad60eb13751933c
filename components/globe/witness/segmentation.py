"""A semantic segmentation model of transformers: what is visible in a picture, and how much of it.

Any class of `AutoModelForSemanticSegmentation` will do, such as SegFormer trained on ADE20K's 150 classes
(nvidia/segformer-b5-finetuned-ade-640-640).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from globe.errors import GlobeError
from globe.witness.wanted import Wanted

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

SHARE_FLOOR = 0.001
"""Share of a picture below which a class is not named: about a square of 20 x 20 pixels of 640 x 640. What is smaller is mostly a
seam between two other classes. How much of a picture something must cover to count is for the recipe to say."""


class Segmentation:
    """A model that gives each pixel one of its classes."""

    def __init__(self, wanted: Wanted, device: str) -> None:
        """Load the model.

        Args:
            wanted: Folder or hub id; only safetensors are loaded, and no code.
            device: Where it runs, as torch names it.
        """
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

        place = str(wanted.folder or wanted.model)
        self._processor = AutoImageProcessor.from_pretrained(place)
        self._model = AutoModelForSemanticSegmentation.from_pretrained(place, use_safetensors=True).to(device).eval()
        self._device = device
        named = self._model.config.id2label
        self.classes: list[str] = [named[number] for number in sorted(named)]
        """All that it can tell, in the model's order."""

    def prepare(self, picture: Image) -> Tensor:
        """The picture as the model takes it, 3 x height x width."""
        return self._processor(images=picture, return_tensors="pt")["pixel_values"][0]

    def judge(self, pictures: list[Tensor]) -> list[dict[str, Any]]:
        """Each picture's `shares`: by class, the share of pixels of the model's own map, which is mostly 4 times coarser.

        Classes below `SHARE_FLOOR` are left out; the largest comes first.
        """
        # Most processors make pictures of one size; of others, those of a size go together.
        return [share for _, same in groupby(pictures, key=lambda one: one.shape) for share in self._judge(list(same))]

    def _judge(self, pictures: list[Tensor]) -> list[dict[str, Any]]:
        import torch

        with torch.inference_mode():
            logits = self._model(
                pixel_values=torch.stack(pictures).to(self._device)
            ).logits  # pictures x classes x height x width
            if not logits.isfinite().all():
                raise GlobeError("the segmentation model computes no numbers; its weights are damaged")
            maps = logits.argmax(dim=1).flatten(1).cpu()
        return [{"shares": self._shares(torch.bincount(one, minlength=len(self.classes)), one.numel())} for one in maps]

    def _shares(self, counts: Tensor, pixels: int) -> dict[str, float]:
        shares: dict[str, float] = {}
        for name, count in zip(self.classes, counts.tolist(), strict=True):
            shares[name] = shares.get(name, 0.0) + count / pixels  # two classes may have one name
        return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share >= SHARE_FLOOR}
