"""Format: exactly a think block, then an answer block, each with something in it; 1 or 0.

Blank space around and between is no fault. Empty parts (a reasoning without a letter or digit is one), a missing tag, text
outside, a second block, several countries or cities are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from globe.answer.parse import Answer
from globe.geo.normalize import MAX_NAME_CHARS
from globe.rewards.score import Score, read

if TYPE_CHECKING:
    from globe.rewards.batch import Batch

_OPEN, _BETWEEN_1, _BETWEEN_2, _CLOSE = "<think>", "</think>", "<answer>", "</answer>"
_EXACT = Score(1.0, "think block, then answer block")


def score(completion: str, row: Mapping[str, Any] | None = None) -> Score:
    """1 when the completion is exactly ``<think>...</think><answer>country: X, city: Y</answer>``, else 0."""
    reading = read(completion)
    if reading.broken:
        return Score(0.0, reading.broken)
    return _judged(completion, reading.answer)


def scores(batch: Batch) -> list[float]:
    """The same for many."""
    return [
        0.0 if reason else 1.0 if answer.exact and _says_something(answer) else _judged(completion, answer).score
        for reason, completion, answer in zip(batch.broken, batch.completions, batch.answers, strict=True)
    ]


def _judged(completion: str, answer: Answer) -> Score:
    if answer.ambiguous:
        return Score(0.0, "several answers")
    if answer.missing:
        return Score(0.0, "missing: " + ", ".join(answer.missing))
    if not _says_something(answer):
        return Score(0.0, "the reasoning has no letter or digit")
    text = completion.strip()
    if not text.startswith(_OPEN) or not text.endswith(_CLOSE):
        return Score(0.0, "text before <think> or after </answer>, or a tag is not written exactly")
    if text.count("<") != 4:  # with a bare "<" somewhere the tags are counted one by one
        for tag in (_OPEN, _BETWEEN_1, _BETWEEN_2, _CLOSE):
            if text.count(tag) != 1:
                return Score(0.0, f"{tag} must stand exactly once")
    end, start = text.rfind(_BETWEEN_1), text.rfind(_BETWEEN_2)  # each stands once; from the end they are near
    if end < 0 or start < 0:
        return Score(0.0, "a tag is not written exactly")
    if text[end + len(_BETWEEN_1) : start].strip() or start < end:
        return Score(0.0, "text between </think> and <answer>")
    if text.rfind(_CLOSE) - start > 2 * MAX_NAME_CHARS:
        return Score(0.0, "the answer is too long for two names")
    return _EXACT if answer.complete else Score(0.0, "incomplete")


def _says_something(answer: Answer) -> bool:
    text = answer.reasoning or ""
    return text[:1].isalnum() or any(map(str.isalnum, text))
