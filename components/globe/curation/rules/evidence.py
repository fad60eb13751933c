"""What has been replied about one picture, sorted by what kind of model replied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from globe.curation.teachers.replies import CoordinateReply, Record, SegmentationReply, VlmReply


@dataclass(frozen=True)
class Evidence:
    """The usable replies about one picture, by the model that gave them; those without a usable reply are left out.

    Attributes:
        vlms: What vision-language models say: the annotations that are judged.
        positions: What coordinate models say.
        segments: What segmentation models see.
        alignments: How much two VLMs' reasonings say the same, from -1 to 1, by their names in alphabetical order.
    """

    vlms: Mapping[str, VlmReply] = field(default_factory=dict)
    positions: Mapping[str, CoordinateReply] = field(default_factory=dict)
    segments: Mapping[str, SegmentationReply] = field(default_factory=dict)
    alignments: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Evidence:
        """Sort the records of one picture."""
        found = cls({}, {}, {}, {})
        for record in records:
            if record.vlm is not None:
                found.vlms[record.teacher] = record.vlm  # type: ignore[index]
            if record.coordinates is not None:
                found.positions[record.teacher] = record.coordinates  # type: ignore[index]
            if record.segmentation is not None:
                found.segments[record.teacher] = record.segmentation  # type: ignore[index]
            if record.alignment is not None:
                found.alignments[record.alignment.between] = record.alignment.score  # type: ignore[index]
        return found

    @property
    def models(self) -> tuple[str, ...]:
        """Everyone who voted on whether the picture can be located."""
        return (*self.vlms, *self.positions)
