"""A calibrated radius as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from globe.evaluation.radius_file import covered
from globe.figures.radius import ANYWHERE_KM, Radius

TITLES = {"any": "", "city": "city named", "country": "country alone"}


def radius_lines(radius: Radius) -> Iterator[str]:
    """A radius by confidence, and what it was measured to cover.

    Args:
        radius: As `globe.figures.radius.calibrate` returns it.
    """
    yield f"{covered(radius.measured)}; median radius {radius.measured['median_radius_km']:,.1f} km"
    yield f"{radius.by.replace('_', ' ')} up to  radius"
    for group in radius.groups:
        text = "anywhere" if group.radius_km >= ANYWHERE_KM else f"{group.radius_km:,.1f} km"
        yield f"  {group.up_to:18.4f}  {text:>12}  n {group.n:>5}  {TITLES[group.level]}".rstrip()
    yield "covered by continent (measured, not promised: the promise is for all answers together):"
    for name, found in radius.measured["continents"].items():
        low, high = found["ci95"]
        yield f"  {name:18}  {found['coverage_percent']:>11.1f}%  n {found['n']:>5}  95% interval {low:.1f} to {high:.1f}"
