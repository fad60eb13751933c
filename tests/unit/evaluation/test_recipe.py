"""The gate decides at one of the distances that are measured."""

from typing import get_args

from globe.evaluation.recipe import GateRecipe
from globe.geo.distance import THRESHOLDS_KM


def test_the_gate_takes_every_distance_that_is_measured_and_no_other():
    assert get_args(GateRecipe.model_fields["threshold_km"].annotation) == tuple(map(str, THRESHOLDS_KM))
