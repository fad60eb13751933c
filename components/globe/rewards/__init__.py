"""Rewards: pure functions of a completion and a row, one file each, every score with its reason.

``REWARDS[name](completion, row) -> Score(score in [0, 1], reason)``. A row is a mapping with ``solution`` {country, city,
lat_deg, lon_deg} and ``entities`` [text]. A broken row raises :class:`globe.errors.InputError`; a broken completion
scores 0. Localizability is asked of a served model and therefore lives apart (:mod:`globe.rewards.localizability`).

Training scores batches: :func:`score_batch` gives the same scores, without reasons, several times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from globe.errors import InputError
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
from globe.rewards.batch import Batch, batches
from globe.rewards.score import Score

_MODULES = {
    "accuracy": accuracy,
    "accuracy_original": accuracy_original,
    "distance": distance,
    "visual_precision": visual_precision,
    "visual_recall": visual_recall,
    "format": format,
    "repetition": repetition,
    "length": length,
}
REWARDS: dict[str, Callable[..., Score]] = {name: module.score for name, module in _MODULES.items()}


def _one_by_one(score: Callable[..., Score]) -> Callable[[Batch], list[float]]:
    return lambda batch: batch.plainly(score, {})


BATCH_REWARDS: dict[str, Callable[[Batch], list[float]]] = {
    name: getattr(module, "scores", _one_by_one(module.score)) for name, module in _MODULES.items()
}
LOCALIZABILITY = "localizability"
NAMES = (*REWARDS, LOCALIZABILITY)
"""Every reward that GRPO can be given: the pure functions, and the one that asks a served model."""
SHORT_NAMES = {"visual": "visual_precision"}
"""Further names that commands and recipes accept."""

__all__ = ["BATCH_REWARDS", "LOCALIZABILITY", "NAMES", "REWARDS", "Batch", "Score", "full_name", "score_batch"]


def full_name(name: str, known: Collection[str] = NAMES) -> str:
    """The name under which a reward is registered.

    Args:
        name: That name, or a short one.
        known: Names to choose from.

    Raises:
        InputError: No reward is called so; names those there are.
    """
    found = SHORT_NAMES.get(name, name)
    if found not in known:
        raise InputError(f"{name}: no such reward; choose from {', '.join(known)}")
    return found


def score_batch(
    completions: Sequence[Any], rows: Sequence[Mapping[str, Any]], names: Iterable[str] = REWARDS
) -> dict[str, list[float]]:
    """Scores of any number of completions by each reward, as the functions in REWARDS give them.

    Args:
        completions: What a model wrote.
        rows: As many rows; completions of one picture best come with the very same one.
        names: Which rewards.

    Raises:
        InputError: a row is broken.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    for batch in batches(completions, rows):
        for name, scores in found.items():
            scores += BATCH_REWARDS[name](batch)
    return found
