"""Figures on their way from a stage's Python to the backend's records: as KFP's SDK writes them, as the launcher reads them."""

import json
import math

import pytest
from kfp import dsl

from globe.run import artifacts


def launched(figures):
    """What the launcher keeps of logged figures: launcher_v2.go: getExecutorOutputFile, converter.go: StructValueToMLMDValue."""
    metrics = dsl.Metrics()
    for name, value in figures.items():
        metrics.log_metric(name, value)

    def refuse(constant):
        raise ValueError(f"invalid value {constant}")  # Go's JSON has no NaN and no infinity

    kept = json.loads(json.dumps(metrics.metadata), parse_constant=refuse)
    if None in kept.values():
        raise ValueError("unknown/unsupported value type NullValue")
    return kept


@pytest.mark.parametrize("figure", [None, math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_finite_number_fails_the_launcher_unless_it_is_left_out(figure):
    figures = {"loss": figure, "rows": 7}
    with pytest.raises(ValueError, match=r"unsupported|invalid"):
        launched(figures)
    assert launched(artifacts.finite(figures)) == {"rows": 7}


def test_numbers_arrive_as_they_are():
    figures = {"accuracy": 71.25, "kept": 600, "zero": 0, "below": -1e-9}
    assert launched(artifacts.finite(figures)) == figures
