"""The verdict on model B against model A: "promote", "reject" or "inconclusive". It is decided here and nowhere else.

The rule is non-inferiority (CONSORT extension, Piaggio et al. 2012, JAMA 308:2594): B may replace A if the 95% interval of its
accuracy minus A's lies wholly above minus the margin; B is rejected if it lies wholly below. Anything else is inconclusive, since
pictures are missing that would decide. So a model that is worse by the margin is promoted in 2.5% of the cases, and a small test
set promotes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from globe.evaluation.recipe import GateRecipe
from globe.figures.power import pictures_needed

PROMOTE, REJECT, INCONCLUSIVE = "promote", "reject", "inconclusive"
WORST_FIRST = (REJECT, INCONCLUSIVE, PROMOTE)


def decide(low_percent: float, high_percent: float, n: int, rule: GateRecipe) -> str:
    """The word for an interval.

    Args:
        low_percent: Lower end of the 95% interval of accuracy, B minus A, in percentage points.
        high_percent: Its upper end.
        n: Number of pictures.
        rule: The margin, and how many pictures are asked for.
    """
    if not (math.isfinite(low_percent) and math.isfinite(high_percent)) or high_percent < -rule.margin_percent:
        return REJECT
    return PROMOTE if low_percent > -rule.margin_percent and n >= rule.min_pictures else INCONCLUSIVE


def judge_difference(entry: Mapping[str, Any], n: int, rule: GateRecipe, name: str) -> dict[str, Any]:
    """Judge a difference in accuracy within the rule's distance.

    Args:
        entry: What `globe.evaluation.compare` found: a, b, difference and ci95 in percent, wins, losses, design_effect.
        n: Number of pictures.
        rule: The rule.
        name: What the reason calls A.

    Returns:
        verdict; reasons (one); needed_pictures: how many in all would decide, if the two went on to differ as they do (None if
        it is decided, or if the difference lies at the margin itself).
    """
    low, high = entry["ci95"] or (math.nan, math.nan)
    verdict = decide(low, high, n, rule)
    reason = (
        f"within {rule.threshold_km} km {entry['b']:.1f}% against {entry['a']:.1f}% ({name}), n {n}: "
        f"{entry['difference']:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}, margin {rule.margin_percent:g}"
    )
    needed = None
    if verdict == INCONCLUSIVE:
        needed = pictures_needed(entry["wins"] / n, entry["losses"] / n, -rule.margin_percent / 100)
        if needed is not None:
            needed = max(math.ceil(needed * entry["design_effect"]), rule.min_pictures)
        few = f"at least {rule.min_pictures} pictures are required" if n < rule.min_pictures else ""
        more = f"about {needed:,} pictures would decide" if needed else "the difference lies at the margin"
        reason = "; ".join(part for part in (reason, few, more) if part)
    return {"verdict": verdict, "reasons": [reason], "needed_pictures": needed}


def worst(verdicts: Sequence[str]) -> str:
    """The verdict on a model that must pass several comparisons: each must, so their errors do not add up (Berger 1982)."""
    return min(verdicts, key=WORST_FIRST.index, default=PROMOTE)
