"""Measure curation against a toy world, where the truth is known: the share of wrong annotations removed and right ones kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.curation.rules.elements import is_seen
from globe.curation.rules.verify import Verdict
from globe.curation.teachers.replies import VlmReply
from globe.demo.truth import Truth as ToyTruth
from globe.demo.truth import is_world, load_truth
from globe.entities.matching import Known, known, named, thing_of
from globe.geo.verdict import Truth, judge


@dataclass
class Measure:
    """Counts right and wrong annotations, and how many of each curation kept.

    An annotation is right if it judges localizability correctly, names the true country and city, and its reasoning
    names no cue that the picture doesn't show. For an unlocatable picture it is right if it says so. It is kept if
    every rule accepts it: as training data or, for an unlocatable picture, as a negative example for the reward model.
    """

    truths: Mapping[str, ToyTruth]
    cues: Known
    right: int = 0
    right_kept: int = 0
    wrong: int = 0
    wrong_removed: int = 0

    @classmethod
    def of(cls, source: Path) -> Measure | None:
        """Start measuring if the source is a toy world; None otherwise."""
        if not is_world(source):
            return None
        truths = load_truth(source)
        return cls(truths, known(thing_of(cue) for truth in truths.values() for cue in truth.cues))

    def add(self, row_id: str, vlms: Mapping[str, VlmReply], verdict: Verdict) -> None:
        """Count the annotations of one picture."""
        truth = self.truths.get(row_id)
        if truth is None:
            return
        for name, reply in vlms.items():
            accepted = verdict.annotations[name].accepted
            if self._is_right(reply, truth):
                self.right += 1
                self.right_kept += accepted
            else:
                self.wrong += 1
                self.wrong_removed += not accepted

    def figures(self) -> dict[str, Any]:
        """Return the counts and shares; a share of nothing is None."""
        return {
            "wrong_annotations": self.wrong,
            "wrong_removed": self.wrong_removed,
            "wrong_removed_share": self.wrong_removed / self.wrong if self.wrong else None,
            "right_annotations": self.right,
            "right_kept": self.right_kept,
            "right_kept_share": self.right_kept / self.right if self.right else None,
        }

    def _is_right(self, reply: VlmReply, truth: ToyTruth) -> bool:
        if reply.localizable != truth.localizable:
            return False
        if not truth.localizable:
            return True
        there = Truth(truth.country, truth.city, truth.lat_deg, truth.lon_deg)
        place = judge(there, reply.country, reply.city).city_right
        shown = [thing_of(cue) for cue in truth.cues]
        return place and all(is_seen(mention.thing, shown) for mention in named(reply.reasoning, self.cues))
