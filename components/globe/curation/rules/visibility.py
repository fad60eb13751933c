"""Step d: what a reasoning names can be seen in the picture, says a segmentation model or, where it has no class, another VLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from globe.curation.recipe import Rules
from globe.curation.rules.classes import Classes
from globe.curation.rules.elements import Elements
from globe.curation.rules.reasons import Reason
from globe.entities.matching import Thing


class Visible(NamedTuple):
    """What became of the things that a reasoning names."""

    things: tuple[Thing, ...]
    """Those that count as seen."""
    witnesses: Mapping[Thing, str]
    """Who vouches for them: the model's name; without those that pass unwitnessed."""
    reason: Reason | None
    """Why the reasoning fails; None if it does not."""


class Segmented(NamedTuple):
    """What a segmentation model sees in a picture."""

    name: str
    classes: Classes
    shares: Mapping[str, float]
    """Share of the picture by class."""


def judge_visibility(
    claimed: Sequence[Thing], segmented: Sequence[Segmented], others: Sequence[tuple[str, Elements]], rules: Rules
) -> Visible:
    """Judge the things that a reasoning names.

    A segmentation model is asked first: it looks at pixels, and another VLM may guess the same as the first one.

    Args:
        claimed: The things.
        segmented: What segmentation models see.
        others: What each of the other VLMs lists.
        rules: Thresholds.
    """
    witnesses: dict[Thing, str] = {}
    passing = []
    for thing in claimed:
        witness = _witness_of(thing, segmented, others, rules.min_visible_share)
        if witness:
            witnesses[thing] = witness
        if witness or rules.min_entity_support == 0 or (witness == "" and rules.trust_unwitnessed):
            passing.append(thing)
    return Visible(tuple(passing), witnesses, _reason(len(claimed), len(passing), rules.min_entity_support))


def _reason(claimed: int, passing: int, min_support: float) -> Reason | None:
    if not claimed:
        return "no_entity_named"
    # The tolerance keeps a share of 2/3 from failing against 0.666... because of the last digit.
    return "entity_not_seen" if passing + 1e-9 < min_support * claimed or not passing else None


def _witness_of(
    thing: Thing, segmented: Sequence[Segmented], others: Sequence[tuple[str, Elements]], min_share: float
) -> str | None:
    """The name of a model that sees a thing; None if it is not there, "" if nobody can tell."""
    can_tell = False
    for name, classes, shares in segmented:
        seen = classes.see(thing, shares, min_share)
        if seen:
            return name
        can_tell = can_tell or seen is not None
    if can_tell:
        return None
    for name, elements in others:
        if elements.show(thing):
            return name
        can_tell = can_tell or bool(elements.texts)
    return None if can_tell else ""
