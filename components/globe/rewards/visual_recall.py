"""The original's direction: of the row's entities, the share that the reasoning names; whole words, not negated, no lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from globe.rewards.claims import claims_of, is_claimed, picture_of, too_many
from globe.rewards.score import Score, entities_of, read


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Share of the row's entities that the reasoning names, each with all its words and no other colour."""
    entities = entities_of(row)
    picture = picture_of(entities)
    reading = read(completion)
    if reading.broken or not reading.answer.reasoning:
        return Score(0.0, reading.broken or "no reasoning")
    if not picture.things:
        return Score(0.0, "the row has no entities to look for")
    claims = claims_of(reading.answer.reasoning, entities)
    if too_many(claims, picture):
        return Score(0.0, f"a list of words: {len(claims)} things claimed")
    found = sum(is_claimed(thing, claims) for thing in picture.things)
    return Score(found / len(picture.things), f"{found} of {len(picture.things)} entities named")
