"""Which annotations are kept: the rules of `globe.curation.rules`, applied in order to the replies about one picture.

They follow the paper's section 3 (it gives no thresholds; the recipe does):
a. the picture is localizable: most VLMs say so (a coordinate model's confidence breaks a tie), and the score is high enough;
b. the annotation's place is the known truth: the names match, or the places are close together;
c. another teacher, a VLM or a coordinate model, places the picture there too, and another VLM's reasoning says the same;
d. every visual entity that the reasoning names is seen by a segmentation model or, where it has no class, listed by another VLM.
An annotation is one VLM's reply about one picture. A picture is kept if at least one of its annotations passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.alignment import best_alignment, is_aligned
from globe.curation.rules.elements import Elements, corroborated
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.localizability import consensus, localizability_fails, score_fails
from globe.curation.rules.places import is_corroborated, is_true_place
from globe.curation.rules.reasons import REASONS, Reason
from globe.curation.rules.visibility import Segmented, judge_visibility
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.teachers.replies import VlmReply
from globe.entities.matching import Known, Thing, known, named
from globe.geo.verdict import Truth


@dataclass(frozen=True)
class Annotation:
    """The verdict on one VLM's reply.

    Attributes:
        reasons: Every rule that it fails, in the order of the rules; none for one that is accepted.
        entities: Elements that its reasoning names and a witness sees, in this teacher's words.
        score: The teacher's own score.
        witnesses: Who vouches for each of the entities: a segmentation model, or the VLM that lists it too.
        alignment: The best cosine of its reasoning with another's, if a model compared them.
    """

    reasons: tuple[Reason, ...]
    entities: tuple[str, ...]
    score: float
    witnesses: Mapping[str, str] = field(default_factory=dict)
    alignment: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether every rule holds."""
        return not self.reasons

    @property
    def reason(self) -> str:
        """The first rule that it fails, or "accepted"."""
        return self.reasons[0] if self.reasons else "accepted"

    def told(self) -> dict[str, Any]:
        """What decisions.jsonl says of it."""
        entry: dict[str, Any] = {"reasons": list(self.reasons)}
        if self.alignment is not None:
            entry["alignment"] = self.alignment
        return {**entry, "witnesses": dict(self.witnesses)} if self.witnesses else entry


@dataclass(frozen=True)
class Verdict:
    """The verdict on one picture.

    Attributes:
        localizable: Consensus, or without the rule of consensus what the teacher of a kept picture says; None when there is none.
        annotations: By teacher.
        best: The teacher whose annotation is used for a kept picture; None when the picture is dropped.
        spokesman: The teacher whose reasoning represents the consensus, even for an unlocatable picture; None if none gives any.
        reason: "kept", or why the picture is dropped: the first reason of the annotation that got furthest.
        elements: What at least two VLMs list.
    """

    localizable: bool | None
    annotations: Mapping[str, Annotation]
    best: str | None
    spokesman: str | None
    reason: str
    elements: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """What decisions.jsonl says of the picture: outcome, reason, and every reason of each annotation."""
        return {
            "outcome": "kept" if self.best else "dropped",
            "reason": self.reason,
            "localizable": self.localizable,
            "annotations": {name: annotation.told() for name, annotation in self.annotations.items()},
        }


def judge(truth: Truth, evidence: Evidence, vocabulary: Vocabulary, recipe: CurationRecipe) -> Verdict:
    """Apply all rules to the replies about one picture.

    Args:
        truth: Where it was taken.
        evidence: The replies.
        vocabulary: Elements listed for any picture of this curation, and the segmentation models' classes.
        recipe: Thresholds.

    Returns:
        The verdict.
    """
    bench = _Bench(truth, evidence, vocabulary, recipe)
    vlms, annotations = evidence.vlms, bench.annotations()
    # Ties go to the name that sorts first, so that the order of replies doesn't matter.
    ranked = sorted(annotations, key=lambda name: (-annotations[name].score, name))
    best = next((name for name in ranked if annotations[name].accepted and bench.locates(vlms[name])), None)
    localizable = vlms[best].localizable if best else bench.localizable
    agreeing = [name for name in ranked if vlms[name].localizable == localizable and vlms[name].reasoning]
    speaking = [name for name in agreeing if annotations[name].accepted] + agreeing
    return Verdict(
        localizable=localizable,
        annotations=annotations,
        best=best,
        spokesman=next(iter(speaking), None),
        reason="kept" if best else _why_dropped(annotations),
        elements=tuple(corroborated(bench.lists)),
    )


def _why_dropped(annotations: Mapping[str, Annotation]) -> str:
    if not annotations:
        return "no_reply"
    first = [annotation.reasons[0] for annotation in annotations.values() if annotation.reasons]
    return max(first, key=REASONS.index, default="not_localizable")  # all say so, and are accepted for it


class _Bench:
    """The replies about one picture while they are judged; what several annotations need is worked out once."""

    def __init__(self, truth: Truth, evidence: Evidence, vocabulary: Vocabulary, recipe: CurationRecipe) -> None:
        self._truth, self._evidence, self._recipe = truth, evidence, recipe
        self.localizable = consensus(evidence.vlms, evidence.positions, recipe.min_confidence)
        self.lists = {name: Elements(reply.elements) for name, reply in evidence.vlms.items()}
        # Witnesses are asked by name, so that the order in which they replied makes no difference.
        self._by_name = sorted(self.lists.items())
        self._segmented = [
            Segmented(name, vocabulary.classes(name), reply.shares) for name, reply in sorted(evidence.segments.items())
        ]
        shared = vocabulary.shared()
        self._cues = {
            name: _named(reply.reasoning, known(self.lists[name].texts, shared))
            for name, reply in evidence.vlms.items()
            if self.locates(reply)
        }

    def locates(self, reply: VlmReply) -> bool:
        """Whether a reply counts as one that says where the picture is; without the rule of localizability each does."""
        return reply.localizable or not self._recipe.applies("localizable")

    def annotations(self) -> dict[str, Annotation]:
        """The verdicts on all VLMs' replies."""
        return {name: self._judge(name, reply) for name, reply in self._evidence.vlms.items()}

    def _judge(self, name: str, reply: VlmReply) -> Annotation:
        disputed = localizability_fails(reply, self.localizable, self._recipe)
        if not self.locates(reply):
            return Annotation((disputed,) if disputed else (), (), reply.score)
        others = [(other, elements) for other, elements in self._by_name if other != name]
        seen = judge_visibility(self._cues[name], self._segmented, others, self._recipe)
        text_of = self.lists[name].text_of
        things = seen.things if self._recipe.applies("visibility") else self._cues[name]
        return Annotation(
            reasons=tuple(self._reasons(name, reply, [other for other, _ in others], disputed, seen.reason)),
            entities=tuple(map(text_of, things)),
            score=reply.score,
            witnesses={text_of(thing): witness for thing, witness in seen.witnesses.items()},
            alignment=best_alignment(name, self._evidence.alignments),
        )

    def _reasons(
        self, name: str, reply: VlmReply, others: Sequence[str], disputed: Reason | None, unseen: Reason | None
    ) -> Iterator[Reason]:
        """Every rule that an annotation with a place fails, in the paper's order."""
        recipe, truth, evidence = self._recipe, self._truth, self._evidence
        locating = [other for other in others if evidence.vlms[other].localizable]
        if disputed:
            yield disputed
        if low := score_fails(reply, recipe):
            yield low
        if recipe.applies("truth") and not is_true_place(reply.country, reply.city, truth, recipe.agree_km):
            yield "wrong_place"
        if recipe.applies("agreement"):
            replies = [evidence.vlms[other] for other in locating]
            if not is_corroborated(reply, truth, replies, evidence.positions.values(), recipe.agree_km):
                yield "not_corroborated"
        if recipe.applies("alignment") and not is_aligned(name, locating, evidence.alignments, self._cues, recipe):
            yield "reasoning_differs"
        if recipe.applies("visibility"):
            if unseen:
                yield unseen
        elif not reply.reasoning:  # whatever the recipe leaves unchecked, there must be something to learn from
            yield "no_reasoning"


def _named(reasoning: str, things: Known) -> list[Thing]:
    """What a reasoning names, each once."""
    return list(dict.fromkeys([mention.thing for mention in named(reasoning, things)]))
