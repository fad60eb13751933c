"""Visual grounding as the paper has it: of the things that the reasoning claims to see, the share that is really there.

R_vis = (1/|E|) * sum of Match(e, V) over the entities e claimed (arXiv 2506.14674). An invented entity costs; claiming
nothing earns nothing, and neither does a mere list of words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from globe.rewards.claims import claims_of, picture_of, too_many, unsupported
from globe.rewards.score import Score, entities_of, read


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Share of claimed things that the row's entities bear out."""
    entities = entities_of(row)
    picture = picture_of(entities)
    reading = read(completion)
    if reading.broken or not reading.answer.reasoning:
        return Score(0.0, reading.broken or "no reasoning")
    if not picture.words:
        return Score(0.0, "the row has no entities to check against")
    claims = claims_of(reading.answer.reasoning, entities)
    if not claims:
        return Score(0.0, "the reasoning names nothing visible")
    if too_many(claims, picture):
        return Score(0.0, f"a list of words: {len(claims)} things claimed")
    wrong = unsupported(claims, picture)
    if not wrong:
        return Score(1.0, f"all {len(claims)} things named are there")
    right = len(claims) - len(wrong)
    return Score(right / len(claims), f"{right} of {len(claims)} things named are there, not: {', '.join(wrong[:5])[:120]}")
