"""What a published model should reach, written down before it is run: does the measurement agree?

The rule was fixed before any run of ours, and is the same for every model and data set:

1. The share within 25 km is measured, with its 95% interval.
2. An interval wholly under the expected range is "below", one wholly over it "above", however few pictures there are.
3. One that meets the range is "as expected" if it is at most `MAX_WIDTH_PERCENT` wide, and otherwise "too few pictures to
   tell": so wide an interval may hold the expected range and the untrained model's figure as well (GLOBE's gain over its base
   model within 25 km is 10 points on mp16-reason-test and 8 on im2gps3k), so that it would confirm anything.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from globe.figures.intervals import Z

THRESHOLD_KM = "25"
MAX_WIDTH_PERCENT = 8.0
"""Of the 95% interval, in percentage points; some 600 pictures give that."""

AS_EXPECTED = "as expected"
BELOW = "below"
ABOVE = "above"
TOO_FEW = "too few pictures to tell"


def expected_figures(metrics: Mapping[str, Any], expected: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """Compare an evaluation with what its recipe expects of the model on this data set.

    Args:
        metrics: The evaluation's figures (:func:`globe.figures.metrics.summarize`), and `dataset` with the data set's `name`.
        expected: The range of the share within 25 km, in percent, by name of the data set.

    Returns:
        The key `expected` of metrics.json: dataset, n, within_25_km_percent (the range), measured_percent, ci95, outcome, and
        pictures_needed if there are too few. Empty if nothing is expected on this data set, or no interval was computed.
    """
    name = metrics.get("dataset", {}).get("name", "")
    interval = metrics["ci95"].get(THRESHOLD_KM)
    if name not in expected or not interval:
        return {}
    low, high = expected[name]
    result = outcome(interval, (low, high))
    figures = {
        "dataset": name,
        "n": metrics["n"],
        "within_25_km_percent": [low, high],
        "measured_percent": metrics["accuracy"][THRESHOLD_KM],
        "ci95": list(interval),
        "outcome": result,
    }
    if result == TOO_FEW:
        figures["pictures_needed"] = pictures_needed((low + high) / 2)
    return {"expected": figures}


def outcome(interval: tuple[float, float] | list[float], expected: tuple[float, float]) -> str:
    """Apply the rule above to an interval and a range, both as (low, high) in percent."""
    if interval[1] < expected[0]:
        return BELOW
    if interval[0] > expected[1]:
        return ABOVE
    return AS_EXPECTED if interval[1] - interval[0] <= MAX_WIDTH_PERCENT else TOO_FEW


def pictures_needed(share_percent: float) -> int:
    """How many pictures make a share's interval narrow enough: n = p (1 - p) (2 z / width)^2 (normal approximation)."""
    share = share_percent / 100
    return math.ceil(share * (1 - share) * (2 * Z * 100 / MAX_WIDTH_PERCENT) ** 2)


def expected_lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The comparison as one line for a terminal; none if nothing was expected."""
    figures = metrics.get("expected")
    if not figures:
        return
    low, high = figures["within_25_km_percent"]
    more = f"; some {figures['pictures_needed']} would tell" if "pictures_needed" in figures else ""
    yield (
        f"{figures['outcome']}{more}: {figures['measured_percent']:.1f}% within {THRESHOLD_KM} km of {figures['n']} pictures "
        f"(95% interval {figures['ci95'][0]:.1f} to {figures['ci95'][1]:.1f}), expected on {figures['dataset']}: "
        f"{low:g} to {high:g}%"
    )
