"""Rewards: pure functions of a completion and a row, one file each, every score with its reason.

``REWARDS[name](completion, row) -> Score(score in [0, 1], reason)``. A row is a mapping with ``solution`` {country, city,
lat_deg, lon_deg} and ``entities`` [text]. A broken row raises :class:`globe.errors.InputError`; a broken completion
scores 0. Localizability is asked of a served model and therefore lives apart (:mod:`globe.rewards.localizability`).
"""

from __future__ import annotations

from collections.abc import Callable

from globe.rewards import (
    accuracy,
    accuracy_original,
    distance,
    format,
    length,
    repetition,
    visual_precision,
    visual_recall,
)
from globe.rewards.score import Score

REWARDS: dict[str, Callable[..., Score]] = {
    "accuracy": accuracy.score,
    "accuracy_original": accuracy_original.score,
    "distance": distance.score,
    "visual_precision": visual_precision.score,
    "visual_recall": visual_recall.score,
    "format": format.score,
    "repetition": repetition.score,
    "length": length.score,
}
SHORT_NAMES = {"visual": "visual_precision"}
"""Further names that commands and recipes accept."""

__all__ = ["REWARDS", "SHORT_NAMES", "Score"]
