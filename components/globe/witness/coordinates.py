"""GeoCLIP (Vivanco Cepeda et al., NeurIPS 2023): at which position a picture was taken, and how sure that is.

GeoCLIP embeds pictures and positions into one space. It compares a picture with a gallery of 100,000 positions, a softmax over
the similarities gives each a probability, and the most probable one is its prediction.

That one's probability says little about how sure the model is, because it is shared with all others of the same city: a median
of 68 positions lie within 25 km of one, and 895 of one in ten. With the published weights, a picture that is embedded exactly
where a position of the gallery is gets 0.34 for it in the median, and between 0.014 (5th percentile) and 1 (95th). So the
confidence here is the probability of all positions within 25 km of the prediction, the field's threshold for "the same city"; for
those pictures it is 1. It is a share of the model's own belief and not calibrated: what it is worth must be measured where the
truth is known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from globe.errors import GlobeError
from globe.geo.distance import EARTH_RADIUS_KM, THRESHOLDS_KM, unit_vectors
from globe.witness.wanted import PACKAGE_WEIGHTS, Wanted, holds_clip

if TYPE_CHECKING:
    from geoclip import GeoCLIP
    from PIL.Image import Image
    from torch import Tensor

CITY_KM = THRESHOLDS_KM[1]
GALLERY_BATCH = 4096


def load_geoclip(wanted: Wanted) -> GeoCLIP:
    """Load GeoCLIP's weights on the CPU.

    Args:
        wanted: Its model is `geoclip` for the package's weights, with OpenAI's CLIP ViT-L/14 from the hub; a folder of that CLIP
            model, for the same without a hub; or a GeoCLIP release (folder or hub id), as the package loads it.
    """
    from geoclip import GeoCLIP
    from huggingface_hub.constants import HF_HUB_OFFLINE

    folder = wanted.folder
    if folder and holds_clip(folder):
        return GeoCLIP(clip_path=str(folder)).eval()
    if wanted.model == PACKAGE_WEIGHTS:
        return GeoCLIP().eval()
    # Without a hub, what was fetched from it earlier is all there is; huggingface_hub looks for a fixed revision only if told so.
    return GeoCLIP.from_pretrained(str(folder or wanted.model), local_files_only=HF_HUB_OFFLINE)


class Coordinates:
    """GeoCLIP with its gallery embedded once; the package's own `predict` would do that again for each picture."""

    def __init__(self, wanted: Wanted, device: str) -> None:
        """Load the model, and embed its gallery.

        Args:
            wanted: As `load_geoclip` takes it.
            device: Where it runs, as torch names it.
        """
        import torch
        from torch.nn.functional import normalize

        self._model = load_geoclip(wanted).to(device)
        self._device = device
        gallery = self._model.gps_gallery
        with torch.inference_mode():
            parts = [normalize(self._model.location_encoder(part), dim=1) for part in gallery.split(GALLERY_BATCH)]
            self._positions = torch.cat(parts)  # points x 512
        self._gallery = gallery.tolist()
        # In double precision, which not every device has: 25 km are a cosine of 1 - 8e-6.
        self._vectors = torch.from_numpy(unit_vectors(*gallery.cpu().double().T.numpy()))

    def prepare(self, picture: Image) -> Tensor:
        """The picture as the model takes it, 3 x height x width."""
        return self._model.image_encoder.preprocess_image(picture)[0]

    def judge(self, pictures: list[Tensor]) -> list[dict[str, Any]]:
        """Position and confidence of each picture: lat_deg, lon_deg, confidence."""
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            embedded = normalize(self._model.image_encoder(torch.stack(pictures).to(self._device)), dim=1)
            logits = self._model.logit_scale.exp() * (embedded @ self._positions.T)
            probabilities = logits.softmax(dim=-1).cpu()
            best = probabilities.argmax(dim=-1)
            near = self._vectors[best] @ self._vectors.T >= math.cos(CITY_KM / EARTH_RADIUS_KM)
            near[torch.arange(len(best)), best] = True
            confidence = (probabilities.double() * near).sum(dim=-1).clamp(max=1.0)
        if not confidence.isfinite().all():
            raise GlobeError("GeoCLIP computes no numbers; its weights are damaged")
        return [
            {"lat_deg": self._gallery[point][0], "lon_deg": self._gallery[point][1], "confidence": share}
            for point, share in zip(best.tolist(), confidence.tolist(), strict=True)
        ]
