"""The original's direction: of the row's entities, the share that the reasoning names; whole words, not negated, no lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from globe.rewards.claims import find_claims, judged, prepare, too_many
from globe.rewards.score import Score, entities_of, read


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Share of the row's entities that the reasoning names, each with all its words and no other colour."""
    entities = prepare(entities_of(row))
    reading = read(completion)
    if reading.broken or not reading.answer.reasoning:
        return Score(0.0, reading.broken or "no reasoning")
    if not entities.phrases:
        return Score(0.0, "the row has no entities to look for")
    claims = judged(find_claims(reading.tokens, entities.extra), entities)
    if too_many(claims, entities):
        return Score(0.0, f"a list of words: {len(claims)} things claimed")
    named = 0
    for _, nouns, colours in entities.phrases:
        if all(n in claims and any(not said or not colours or said <= colours for said in claims[n]) for n in nouns):
            named += 1
    return Score(named / len(entities.phrases), f"{named} of {len(entities.phrases)} entities named")
