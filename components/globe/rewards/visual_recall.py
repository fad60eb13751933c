"""The original's direction: of the row's entities, the share that the reasoning names; whole words, not negated, no lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from globe.entities.claims import Claims, RowEntities, claims_of, prepare, too_many
from globe.entities.vocabulary import NOUNS
from globe.rewards.score import Score, entities_of, read

if TYPE_CHECKING:
    from globe.rewards.batch import Batch


def score(completion: str, row: Mapping[str, Any]) -> Score:
    """Share of the row's entities that the reasoning names, each with all its words and no other colour."""
    entities = prepare(entities_of(row))
    reading = read(completion)
    if reading.broken or not reading.answer.reasoning:
        return Score(0.0, reading.broken or "no reasoning")
    if not entities.phrases:
        return Score(0.0, "the row has no entities to look for")
    claims = claims_of(reading, entities)
    if too_many(len(claims.nouns), entities):
        return Score(0.0, f"a list of words: {len(claims.nouns)} things claimed")
    named = _named(claims, entities)
    return Score(named / len(entities.phrases), f"{named} of {len(entities.phrases)} entities named")


def scores(batch: Batch) -> list[float]:
    """The same for many."""
    found = {}
    for k, (i, count) in enumerate(zip(batch.worded, batch.claims.counts, strict=True)):
        entities = batch.prepared[i]
        nothing = not entities.phrases or too_many(count, entities)
        found[i] = 0.0 if nothing else _named(batch.claims.of(k), entities) / len(entities.phrases)
    return batch.plainly(score, found)


def _named(claims: Claims, entities: RowEntities) -> int:
    """How many of the row's entities are claimed with all their words and no other colour."""
    said: dict[str, list[frozenset[str]]] = {}
    for form, colours in claims.coloured:
        said.setdefault(NOUNS.get(form) or form, []).append(colours)
    named = 0
    for _, nouns, colours in entities.phrases:
        if nouns <= claims.nouns and not (colours and any(n in said and not any(c <= colours for c in said[n]) for n in nouns)):
            named += 1
    return named
