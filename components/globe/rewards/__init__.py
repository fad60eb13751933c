"""Rewards: pure functions of a completion and a row, one file each, every score with its reason.

``REWARDS[name](completion, row) -> Score(score in [0, 1], reason)``. A row is a mapping with ``solution`` {country, city,
lat_deg, lon_deg} and ``entities`` [text]. A broken row raises :class:`globe.errors.InputError`; a broken completion
scores 0. Localizability is asked of a served model and therefore lives apart (:mod:`globe.rewards.localizability`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module

from globe.errors import InputError
from globe.rewards.score import Score

_MODULES = (
    "globe.rewards.accuracy",
    "globe.rewards.accuracy_original",
    "globe.rewards.distance",
    "globe.rewards.visual_precision",
    "globe.rewards.visual_recall",
    "globe.rewards.format",
    "globe.rewards.repetition",
    "globe.rewards.length",
)
"""The registry: one line a reward. It is known by its file's name, and its function is called ``score``."""
REWARDS: dict[str, Callable[..., Score]] = {name.rpartition(".")[2]: import_module(name).score for name in _MODULES}
LOCALIZABILITY = "localizability"
NAMES = (*REWARDS, LOCALIZABILITY)
"""Every reward that GRPO can be given: the pure functions, and the one that asks a served model."""
SHORT_NAMES = {"visual": "visual_precision"}
"""Further names that commands and recipes accept."""

__all__ = ["LOCALIZABILITY", "NAMES", "REWARDS", "Score", "full_name"]


def full_name(name: str, known: Collection[str] = NAMES) -> str:
    """The name under which a reward is registered.

    Args:
        name: That name, or a short one.
        known: Names to choose from.

    Raises:
        InputError: No reward has this name; the message lists those there are.
    """
    found = SHORT_NAMES.get(name, name)
    if found not in known:
        raise InputError(f"{name}: no such reward; choose from {', '.join(known)}")
    return found
