"""GeoCLIP with a small CLIP inside and untrained weights, as a release that the package geoclip loads without a hub.

It knows nothing of places: it is for trying whatever loads, asks and serves the real one. Its own part has the published sizes,
which the package fixes; its gallery is small.
"""

from __future__ import annotations

import json
from pathlib import Path

from globe.demo.places import all_cities

BACKBONE = "tiny/clip"
"""Name of its CLIP model in a hub's cache."""
REVISION = "0" * 40
POINTS_OF_A_CITY = 5
SPREAD_DEG = 0.05
PICTURE_PX = 56


def build_tiny_clip(out: Path, seed: int = 0) -> None:
    """Write an untrained CLIP of the shape that GeoCLIP needs (embeddings of 768 numbers), with its processor.

    Args:
        out: Folder for the model; made if absent.
        seed: Of the weights.
    """
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    part = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 768}
    words = ["a", "photo", "<|startoftext|>", "<|endoftext|>"]
    config = CLIPConfig(
        text_config=part | {"vocab_size": len(words), "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 3},
        vision_config=part | {"image_size": PICTURE_PX, "patch_size": 14},
        projection_dim=768,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(out)
    tokenizer = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    side = {"height": PICTURE_PX, "width": PICTURE_PX}
    pictures = CLIPImageProcessor(size={"shortest_edge": PICTURE_PX}, crop_size=side)
    CLIPProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(out)


def build_tiny_geoclip(out: Path, hub_cache: Path, seed: int = 0) -> None:
    """Write a release of an untrained GeoCLIP, and its CLIP model into a hub's cache, where the package looks for it.

    Args:
        out: Folder for the release; made if absent.
        hub_cache: The cache (HF_HUB_CACHE), in the layout of huggingface_hub.
        seed: Of weights and gallery.
    """
    import numpy as np
    import torch
    from geoclip import GeoCLIP
    from safetensors.torch import save_file

    repository = hub_cache / f"models--{BACKBONE.replace('/', '--')}"
    backbone = repository / "snapshots" / REVISION
    build_tiny_clip(backbone, seed)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(REVISION)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GeoCLIP(from_pretrained=False, clip_path=str(backbone))
    out.mkdir(parents=True, exist_ok=True)
    own = {
        name: weight for name, weight in model.state_dict().items() if not name.startswith(("image_encoder.CLIP", "gps_queue"))
    }
    save_file({name: weight.contiguous() for name, weight in own.items()}, out / "model.safetensors")
    chance = np.random.default_rng(seed)
    places = [(city.lat_deg, city.lon_deg) for city in all_cities() for _ in range(POINTS_OF_A_CITY)]
    gallery = np.array(places) + chance.normal(0, SPREAD_DEG, (len(places), 2))
    lines = ["LAT,LON", *(f"{lat:.6f},{lon:.6f}" for lat, lon in gallery)]
    (out / "gallery.csv").write_text("\n".join(lines) + "\n")
    config = {
        "model_type": "geoclip-geolocation",
        "format_version": 1,
        "sigma": model.location_encoder.sigma,
        "gallery_file": "gallery.csv",
        "backbone": {"repo_id": BACKBONE, "revision": REVISION},
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
