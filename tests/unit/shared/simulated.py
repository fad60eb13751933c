"""Simulated answers of a model whose confidence is worth something known."""

from typing import Any

import numpy as np
from pyproj import Geod

PLACES = [("France", 46.0, 2.0), ("Kenya", 0.5, 37.5), ("Japan", 36.0, 138.0), ("Brazil", -10.0, -55.0)]
WORLDS = ("calibrated", "overconfident", "constant", "few values", "misleading", "noise")


def world(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, distance in km and whether it is right of n answers: right ones are near, wrong ones mostly very far."""
    chance = rng.beta(2, 1.5, n)
    right = rng.random(n) < chance
    km = np.where(right, rng.lognormal(1.5, 0.5, n).clip(0, 24), rng.lognormal(6.5, 1.2, n).clip(26, 19_900))
    said = {
        "calibrated": chance,
        "overconfident": chance**0.05,
        "constant": np.full(n, 0.97),
        "few values": np.round(chance * 3) / 3,
        "misleading": 1 - chance,
        "noise": rng.random(n),
    }
    return said[kind], km, right


def answers(kind: str, n: int, seed: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """The same as records."""
    rng = np.random.default_rng(seed)
    confidence, km, _ = world(kind, n, rng)
    country, lat, lon = zip(*(PLACES[at] for at in rng.integers(0, len(PLACES), n)), strict=True)
    lon_there, lat_there, _ = Geod(ellps="WGS84").fwd(lon, lat, rng.uniform(0, 360, n), km * 1000)
    return [
        {
            "id": f"p{i}",
            "status": "ok",
            "answer": "<think>a church</think><answer>country: X\ncity: Y</answer>",
            "level": "city",
            "lat_deg": float(lat_there[i]),
            "lon_deg": float(lon_there[i]),
            "confidence": float(confidence[i]),
            "truth": {"country": country[i], "city": "", "lat_deg": lat[i], "lon_deg": lon[i]},
            **fields,
        }
        for i in range(n)
    ]
