"""Visual grounding as the paper has it: of the things that the reasoning claims to see, the share that is really there.

R_vis = (1/|E|) * sum of Match(e, V) over the entities e claimed (arXiv 2506.14674). An invented entity costs; claiming
nothing earns nothing, and neither does a mere list of words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from globe.entities.claims import claims_of, contradicted, prepare, too_many
from globe.rewards.score import Score, entities_of, read

if TYPE_CHECKING:
    from globe.rewards.batch import Batch


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Share of claimed things that the row's entities bear out."""
    entities = prepare(entities_of(row))
    reading = read(completion)
    if reading.broken or not reading.answer.reasoning:
        return Score(0.0, reading.broken or "no reasoning")
    if not entities.words:
        return Score(0.0, "the row has no entities to check against")
    claims = claims_of(reading, entities)
    count = len(claims.nouns)
    if not count:
        return Score(0.0, "the reasoning names nothing visible")
    if too_many(count, entities):
        return Score(0.0, f"a list of words: {count} things claimed")
    wrong = claims.nouns.difference(entities.words)
    if claims.coloured:
        wrong |= contradicted(claims, entities)
    if not wrong:
        return Score(1.0, f"all {count} things named are there")
    named = ", ".join(sorted(wrong)[:5])[:120]
    return Score(1.0 - len(wrong) / count, f"{count - len(wrong)} of {count} things named are there, not: {named}")


def scores(batch: Batch) -> list[float]:
    """The same for many."""
    found = {}
    claims = batch.claims
    for k, (i, count, shared) in enumerate(zip(batch.worded, claims.counts, claims.shared, strict=True)):
        entities = batch.prepared[i]
        if not entities.words or not count or too_many(count, entities):
            found[i] = 0.0
            continue
        wrong = count - len(shared)
        if k in claims.coloured:
            wrong += len(contradicted(claims.of(k), entities))
        found[i] = 1.0 - wrong / count if wrong else 1.0
    return batch.plainly(score, found)
