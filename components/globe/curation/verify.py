"""The rules that decide which annotations are kept. Pure functions: replies and truth in, verdicts out.

The rules follow the paper's section 3 (it gives no thresholds; the recipe does):
1. the picture is localizable: most VLMs say so (a coordinate model's confidence breaks a tie), and the score is high enough;
2. the annotation's place is the known truth: the names match, or the places are close together;
3. another teacher, a VLM or a coordinate model, places the picture there too;
4. every visual entity that the reasoning names is among the elements that another VLM lists.
An annotation is one VLM's reply about one picture. A picture is kept if at least one of its annotations passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from globe.curation.elements import Vocabulary, corroborated, elements_of, is_seen
from globe.curation.recipe import CurationRecipe
from globe.curation.replies import CoordinateReply, VlmReply
from globe.entities.matching import Known, known, named
from globe.geo.distance import distance_km
from globe.geo.verdict import Truth
from globe.geo.verdict import judge as judge_place

Reason = Literal[
    "accepted",
    "undecided",
    "not_localizable",
    "localizability_disputed",
    "low_score",
    "wrong_place",
    "not_corroborated",
    "no_entity_named",
    "entity_not_seen",
]

# How far a rejected annotation got: a dropped picture is counted under the reason of the one that got furthest.
_STEPS: tuple[str, ...] = (
    "undecided",
    "not_localizable",
    "localizability_disputed",
    "low_score",
    "wrong_place",
    "not_corroborated",
    "no_entity_named",
    "entity_not_seen",
)


@dataclass(frozen=True)
class Annotation:
    """The verdict on one VLM's reply.

    Attributes:
        reason: "accepted", or the first rule that it fails.
        entities: Elements that its reasoning names and another VLM confirms, in this teacher's words.
        score: The teacher's own score.
    """

    reason: Reason
    entities: tuple[str, ...]
    score: float

    @property
    def accepted(self) -> bool:
        """Whether every rule holds."""
        return self.reason == "accepted"


@dataclass(frozen=True)
class Verdict:
    """The verdict on one picture.

    Attributes:
        localizable: Consensus; None when there is none.
        annotations: By teacher.
        best: The teacher whose annotation is used for a kept picture; None when the picture is dropped.
        spokesman: The teacher whose reasoning represents the consensus, even for an unlocatable picture; may be None.
        reason: "kept", or why the picture is dropped.
        elements: What at least two VLMs list.
    """

    localizable: bool | None
    annotations: Mapping[str, Annotation]
    best: str | None
    spokesman: str | None
    reason: str
    elements: tuple[str, ...]


def judge(
    truth: Truth,
    vlms: Mapping[str, VlmReply],
    positions: Mapping[str, CoordinateReply],
    vocabulary: Vocabulary,
    recipe: CurationRecipe,
) -> Verdict:
    """Apply all rules to the replies about one picture.

    Args:
        truth: Where it was taken.
        vlms: Replies of the VLMs, by teacher; those without a usable reply are left out.
        positions: Replies of the coordinate models, likewise.
        vocabulary: Elements listed for any picture of this curation.
        recipe: Thresholds.

    Returns:
        The verdict.
    """
    localizable = consensus(vlms, positions, recipe.min_confidence)
    annotations = {name: _judge_annotation(name, truth, vlms, positions, localizable, vocabulary, recipe) for name in vlms}
    # Ties go to the name that sorts first, so that the order of replies doesn't matter.
    ranked = sorted(annotations, key=lambda name: (-annotations[name].score, name))
    accepted = [name for name in ranked if annotations[name].accepted]
    best = accepted[0] if accepted and localizable else None
    agreeing = [name for name in ranked if vlms[name].localizable == localizable and vlms[name].reasoning]
    if best:
        reason = "kept"
    elif not vlms:
        reason = "no_reply"
    elif localizable is False:
        reason = "not_localizable"
    else:
        reason = max((annotation.reason for annotation in annotations.values()), key=_STEPS.index)
    return Verdict(
        localizable=localizable,
        annotations=annotations,
        best=best,
        spokesman=next(iter([*accepted, *agreeing]), None),
        reason=reason,
        elements=tuple(corroborated({name: reply.elements for name, reply in vlms.items()})),
    )


def consensus(vlms: Mapping[str, VlmReply], positions: Mapping[str, CoordinateReply], min_confidence: float) -> bool | None:
    """Whether a picture is localizable: the VLMs' majority; on a tie, the coordinate models' mean confidence.

    Returns:
        None when no VLM replied, or on a tie without a coordinate model.
    """
    votes = sum(1 if reply.localizable else -1 for reply in vlms.values())
    if not vlms:
        return None
    if votes:
        return votes > 0
    if not positions:
        return None
    return sum(reply.confidence for reply in positions.values()) / len(positions) >= min_confidence


def is_true_place(country: str, city: str, truth: Truth, agree_km: float) -> bool:
    """Tell whether a named city is where the picture was taken: the true city, or within `agree_km` of the true position."""
    verdict = judge_place(truth, country, city)
    if verdict.city_right or not verdict.country_right:  # a place across the border is a different answer, however near it is
        return verdict.city_right
    point, there = verdict.place.city_position_deg, truth.position_deg
    return point is not None and there is not None and distance_km(*point, *there) <= agree_km


def _judge_annotation(
    name: str,
    truth: Truth,
    vlms: Mapping[str, VlmReply],
    positions: Mapping[str, CoordinateReply],
    localizable: bool | None,
    vocabulary: Vocabulary,
    recipe: CurationRecipe,
) -> Annotation:
    reply = vlms[name]
    others = {other: answer for other, answer in vlms.items() if other != name}
    entities: tuple[str, ...] = ()
    reason = _judge_localizability(reply, localizable, recipe)
    if reason == "accepted" and localizable:
        if not is_true_place(reply.country, reply.city, truth, recipe.agree_km):
            reason = "wrong_place"
        elif not _is_corroborated(reply, truth, others, positions, recipe.agree_km):
            reason = "not_corroborated"
        else:
            reason, entities = _judge_entities(reply, others, vocabulary.shared(), recipe.min_entity_support)
    return Annotation(reason, entities, reply.score)


def _judge_localizability(reply: VlmReply, localizable: bool | None, recipe: CurationRecipe) -> Reason:
    if localizable is None:
        return "undecided"
    if reply.localizable != localizable:
        return "localizability_disputed" if localizable else "not_localizable"
    # The score says how sure the teacher is that the picture can be located; for "not localizable" it is naturally low.
    return "low_score" if localizable and reply.score < recipe.min_score else "accepted"


def _is_corroborated(
    reply: VlmReply,
    truth: Truth,
    others: Mapping[str, VlmReply],
    positions: Mapping[str, CoordinateReply],
    agree_km: float,
) -> bool:
    """Tell whether another teacher places the picture where this annotation, already found to be true, does."""
    verdict = judge_place(truth, reply.country, reply.city)
    # A correct name that the gazetteer can't place is taken to be at the true position.
    point = verdict.place.city_position_deg or truth.position_deg
    names = truth[:2] if verdict.city_right else (reply.country, reply.city)
    annotated = Truth(*names, *(point or (None, None)))
    if any(is_true_place(o.country, o.city, annotated, agree_km) for o in others.values() if o.localizable):
        return True
    return point is not None and any(distance_km(p.lat_deg, p.lon_deg, *point) <= agree_km for p in positions.values())


def _judge_entities(
    reply: VlmReply, others: Mapping[str, VlmReply], shared: Known, min_support: float
) -> tuple[Reason, tuple[str, ...]]:
    own = elements_of(reply.elements)
    seen = {thing for other in others.values() for thing in elements_of(other.elements)}
    claimed = list(dict.fromkeys(mention.thing for mention in named(reply.reasoning, known(own, shared))))
    if not claimed:
        return "no_entity_named", ()
    supported = [thing for thing in claimed if min_support == 0 or is_seen(thing, seen)]
    entities = tuple(own.get(thing, str(thing)) for thing in supported)
    # The tolerance keeps a share of 2/3 from failing against 0.666... because of the last digit.
    if len(supported) + 1e-9 < min_support * len(claimed) or not supported:
        return "entity_not_seen", entities
    return "accepted", entities
