"""Length guard: 1 for a reasoning of 4 to 400 words, falling to 0 at none and at 800."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from globe.rewards.score import Score, read

if TYPE_CHECKING:
    from globe.rewards.batch import Batch

MIN_WORDS = 4
MAX_WORDS = 400
CHARS_PER_WORD = 16
"""Text without blank space between words counts a word per so many characters at least."""


def score(completion: str, row: Mapping[str, Any] | None = None) -> Score:
    """Whether the reasoning has a sensible length."""
    reading = read(completion)
    if reading.broken:
        return Score(0.0, reading.broken)
    return _judged(reading.words, reading.answer.reasoning or "")


def scores(batch: Batch) -> list[float]:
    """The same for many."""
    spoken = zip(batch.worded, batch.words.spoken.tolist(), strict=True)
    return batch.plainly(score, {i: _judged(words, batch.answers[i].reasoning or "").score for i, words in spoken})


def _judged(words: int, reasoning: str) -> Score:
    words = max(words, len(reasoning) // CHARS_PER_WORD)
    if words < MIN_WORDS:
        return Score(words / MIN_WORDS, f"{words} words of reasoning, at least {MIN_WORDS} are asked")
    if words > MAX_WORDS:
        return Score(max(0.0, 2.0 - words / MAX_WORDS), f"{words} words of reasoning, at most {MAX_WORDS} are asked")
    return Score(1.0, f"{words} words of reasoning")
