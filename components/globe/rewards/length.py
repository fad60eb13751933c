"""Length guard: 1 for a reasoning of 4 to 400 words, falling to 0 at none and at 800."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from globe.rewards.score import Score, read

MIN_WORDS = 4
MAX_WORDS = 400
CHARS_PER_WORD = 16
"""Text without blank space between words counts as one word per so many characters at least."""


def score(completion: str, row: Mapping[str, Any] | None = None) -> Score:
    """Whether the reasoning has a sensible length."""
    reading = read(completion)
    if reading.broken:
        return Score(0.0, reading.broken)
    words = max(len(reading.words), len(reading.answer.reasoning or "") // CHARS_PER_WORD)
    if words < MIN_WORDS:
        return Score(words / MIN_WORDS, f"{words} words of reasoning, fewer than {MIN_WORDS}")
    if words > MAX_WORDS:
        return Score(max(0.0, 2.0 - words / MAX_WORDS), f"{words} words of reasoning, more than {MAX_WORDS}")
    return Score(1.0, f"{words} words of reasoning")
