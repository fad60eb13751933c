"""Figures beyond those of distances and names: what confidence is worth, and how much of the reasoning the picture gives."""

from collections.abc import Mapping, Sequence
from typing import Any

from globe.figures.abstention import abstention
from globe.figures.area import recall_area
from globe.figures.confidence import calibration
from globe.figures.grounding import grounding, image_swap, reasoned
from globe.figures.radius import radius_figures


def further_figures(records: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """The figures that these records allow.

    Args:
        records: Predictions, as `globe.figures.predictions` defines them.
        seed: Of what is drawn.

    Returns:
        Any of confidence, abstention, radius, grounding, image_swap and recall_area; what the records do not allow is left out.
    """
    answers = reasoned(records)
    found: dict[str, Any] = {
        "confidence": calibration(records),
        "abstention": abstention(records),
        "radius": radius_figures(records),
        "grounding": grounding(answers),
        "image_swap": image_swap(answers, seed),
        "recall_area": recall_area(records),
    }
    return {name: figures for name, figures in found.items() if figures}
