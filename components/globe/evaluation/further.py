"""Figures beyond those of distances and names: what confidence is worth, and how much of the reasoning the picture gives."""

from collections.abc import Mapping, Sequence
from typing import Any


def further_figures(records: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """The figures that these records allow.

    Args:
        records: Predictions, as `globe.evaluation.predictions` defines them.
        seed: Of what is drawn.
    """
    return {}
