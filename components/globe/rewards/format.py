"""Format: exactly a think block, then an answer block, each with something in it; 1 or 0.

Blank space around and between is no fault. Empty parts (a reasoning without a letter or digit is one), a missing tag, text
outside, a second block, several countries or cities are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from globe.geo.normalize import MAX_NAME_CHARS
from globe.rewards.score import Score, read

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_BLOCKS = re.compile(r"\s*<think>(?P<reasoning>.*)</think>\s*<answer>(?P<answer>.*)</answer>\s*", re.DOTALL)


def score(completion: str, row: Mapping[str, Any] | None = None) -> Score:
    """1 when the completion is exactly ``<think>...</think><answer>country: X, city: Y</answer>``, else 0."""
    reading = read(completion)
    answer = reading.answer
    if reading.broken:
        return Score(0.0, reading.broken)
    if answer.ambiguous:
        return Score(0.0, "several answers")
    if answer.missing:
        return Score(0.0, "missing: " + ", ".join(answer.missing))
    for tag in _TAGS:
        if completion.count(tag) != 1:
            return Score(0.0, f"{tag} must be there exactly once")
    blocks = _BLOCKS.fullmatch(completion)
    if blocks is None:
        return Score(0.0, "text before <think>, after </answer>, or between </think> and <answer>")
    if not any(map(str.isalnum, blocks["reasoning"])):
        return Score(0.0, "the reasoning has no letter or digit")
    if len(blocks["answer"]) > 2 * MAX_NAME_CHARS:
        return Score(0.0, "the answer is too long for two names")
    return Score(1.0, "think block, then answer block") if answer.complete else Score(0.0, "incomplete")
