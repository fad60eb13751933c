"""Repetition guard: 1 for ordinary text, falling to 0 as sequences of words come again.

The measure is the share of three-word sequences that occurred before: up to 0.15 is ordinary, 0.5 and more is a loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from globe.rewards.score import Score, read

ORDINARY_SHARE = 0.15
LOOP_SHARE = 0.5
FEW_SEQUENCES = 12
"""With fewer sequences than this, a text that uses each word less than three times on average does not repeat itself."""
CHARS_PER_WORD = 16
"""Longer words on average mean a script without blank space between words; its characters are looked at instead."""


def score(completion: str, row: Mapping[str, Any] | None = None) -> Score:
    """How little the reasoning repeats itself; 0 for none at all."""
    reading = read(completion)
    text = reading.answer.reasoning
    if reading.broken or not text:
        return Score(0.0, reading.broken or "no reasoning")
    units: Sequence[str] = reading.words if len(reading.words) * CHARS_PER_WORD >= len(text) else text
    sequences = list(zip(units, units[1:], units[2:], strict=False))
    if len(sequences) < FEW_SEQUENCES:
        few = len(set(units)) * 3 <= len(units)
        return Score(0.0, "the same words again") if few else Score(1.0, "too short to repeat itself")
    share = 1.0 - len(set(sequences)) / len(sequences)
    if share <= ORDINARY_SHARE:
        return Score(1.0, "no repetition")
    value = max(0.0, (LOOP_SHARE - share) / (LOOP_SHARE - ORDINARY_SHARE))
    return Score(value, f"{share:.0%} of its three-word sequences occurred before")
