"""Repetition guard: 1 for ordinary text, falling to 0 as sequences of words come again.

The measure is the share of three-word sequences that stood before: up to 0.15 is ordinary, 0.5 and more is a loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from globe.rewards.score import Score, read

ORDINARY_SHARE = 0.15
LOOP_SHARE = 0.5
VARIED_SHARE = 0.55
"""When more than this share of the words and punctuation is different, no loop can be in it; it is not looked at further."""
_FEW_TOKENS = 12


def score(completion: str, row: Mapping[str, Any] | None = None) -> Score:
    """How little the reasoning repeats itself; 0 for none at all."""
    reading = read(completion)
    if reading.broken:
        return Score(0.0, reading.broken)
    text = reading.answer.reasoning
    if not text:
        return Score(0.0, "no reasoning")
    units: Any = reading.tokens
    if reading.words * 16 < len(text):  # a script without blank space between words: look at its characters
        units = text
    elif len(reading.kinds) > VARIED_SHARE * len(units):
        return Score(1.0, "varied words")
    total = len(units) - 2
    if total < _FEW_TOKENS:
        return (
            Score(1.0, "too short to repeat itself") if len(set(units)) * 3 > len(units) else Score(0.0, "the same words again")
        )
    share = 1.0 - len(set(zip(units, units[1:], units[2:], strict=False))) / total
    if share <= ORDINARY_SHARE:
        return Score(1.0, "no repetition")
    value = max(0.0, (LOOP_SHARE - share) / (LOOP_SHARE - ORDINARY_SHARE))
    return Score(value, f"{share:.0%} of its three-word sequences stood before")
