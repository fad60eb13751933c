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
    words = _words(reading.words, len(reading.answer.reasoning or ""))
    value = _value(words)
    if words < MIN_WORDS:
        return Score(value, f"{words} words of reasoning, at least {MIN_WORDS} are asked")
    if words > MAX_WORDS:
        return Score(value, f"{words} words of reasoning, at most {MAX_WORDS} are asked")
    return Score(value, f"{words} words of reasoning")


def scores(batch: Batch) -> list[float]:
    """The same for many."""
    spoken = zip(batch.worded, batch.words.spoken.tolist(), batch.words.chars.tolist(), strict=True)
    return batch.plainly(score, {i: _value(_words(words, chars)) for i, words, chars in spoken})


def _words(words: int, chars: int) -> int:
    return max(words, chars // CHARS_PER_WORD)


def _value(words: int) -> float:
    if words < MIN_WORDS:
        return words / MIN_WORDS
    return 1.0 if words <= MAX_WORDS else max(0.0, 2.0 - words / MAX_WORDS)
