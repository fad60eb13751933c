"""Does a low confidence tell the pictures that nobody could localise? Then a model could abstain there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from globe.figures.confidence import SIGNALS, Records, signal
from globe.figures.intervals import Z


def abstention(records: Records) -> dict[str, Any]:
    """How well 1 - confidence tells the pictures that are not localizable from those that are.

    Args:
        records: Predictions; the truth's `localizable` is known of some.

    Returns:
        n (answers with a confidence to a picture of which it is known), localizable (how many of the pictures are), by (the kind
        of confidence), auroc (0 to 1; 0.5 tells nothing) and ci95. Empty where all known pictures are of one kind.
    """
    known = [record for record in records if isinstance(_localizable(record), bool)]
    localizable = np.array([_localizable(record) for record in known], dtype=bool)
    found = [_told(name, signal(known, name), localizable) for name in SIGNALS]
    return max(found, key=lambda figures: figures.get("n", 0))


def _localizable(record: Mapping[str, Any]) -> Any:
    return (record.get("truth") or {}).get("localizable")


def _told(name: str, confidence: np.ndarray, localizable: np.ndarray) -> dict[str, Any]:
    usable = np.isfinite(confidence)
    yes, no = confidence[usable & localizable], confidence[usable & ~localizable]
    if not len(yes) or not len(no):
        return {}
    area = auroc(1 - no, 1 - yes)
    interval = auroc_interval(area, len(no), len(yes))
    figures = {"auroc": round(area, 4), "ci95": [round(end, 4) for end in interval]}
    return {"n": len(yes) + len(no), "localizable": len(yes), "by": name, **figures}


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive has the higher score than a negative, ties counting half (Mann & Whitney 1947)."""
    below = np.searchsorted(np.sort(negative), positive, side="left")
    not_above = np.searchsorted(np.sort(negative), positive, side="right")
    return float((below + not_above).mean() / (2 * len(negative)))


def auroc_interval(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """95% score interval of an AUROC, which stays honest at 0 and 1 (Newcombe 2006, Stat. Med. 25:559, method 5).

    The variance is that of Hanley & McNeil (1982) at the true area, with both group sizes replaced by their mean.
    """
    others = (positives + negatives) / 2 - 1

    def is_far(true: float) -> bool:
        spread = 1 + others * ((1 - true) / (2 - true) + true / (1 + true))
        return abs(area - true) > Z * (true * (1 - true) * spread / (positives * negatives)) ** 0.5

    return _edge(area, 0.0, is_far), _edge(area, 1.0, is_far)


def _edge(inside: float, outside: float, is_far: Any) -> float:
    """Where, between an area that is near enough and one at the scale's end, the near ones end."""
    for _ in range(50):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_far(middle) else (middle, outside)
    return inside
