"""How figures, places and untrusted text are written in a report."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "–"
"""Printed in place of a figure that does not exist; a zero would claim that it was measured."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def clean(text: object, limit: int = 0) -> str:
    """Make untrusted text printable: no control or direction-override characters, no lone surrogates, a bounded length.

    Escaping for HTML is the template's work, not done here.

    Args:
        text: Text from a model or a file; None becomes an empty text.
        limit: Most characters to keep (0 = all); a shortened text ends in an ellipsis.
    """
    if text is None:
        return ""
    plain = str(text).encode("utf-8", "replace").decode("utf-8")
    plain = _CONTROL.sub("\ufffd", plain.replace("\r\n", "\n")).strip()
    return plain if not limit or len(plain) <= limit else plain[: limit - 1].rstrip() + "…"


def number(value: Any) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def percent(value: Any) -> str:
    """`value` is in percent (0 to 100)."""
    figure = number(value)
    return ABSENT if figure is None else f"{figure:.1f}%"


def interval(pair: Any, unit: str = "%") -> str:
    """A 95% interval as text; ABSENT when there is none."""
    bounds = limits(pair)
    return ABSENT if bounds is None else f"{signless(bounds[0])} to {signless(bounds[1])}{unit}"


def known_interval(pair: Any, unit: str = "") -> str:
    """A 95% interval as text; empty when there is none."""
    return "" if limits(pair) is None else interval(pair, unit)


def signless(value: float) -> str:
    """One decimal with a real minus sign."""
    return f"{value:.1f}".replace("-", "−")


def signed(value: float) -> str:
    """One decimal with its sign, zero without one."""
    rounded = round(value, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def limits(pair: Any) -> tuple[float, float] | None:
    """Lower and upper bound, or None."""
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        return None
    low, high = number(pair[0]), number(pair[1])
    return None if low is None or high is None else (low, high)


def kilometres(value: Any) -> str:
    """A distance for readers: no decimals beyond ten kilometres."""
    figure = number(value)
    if figure is None:
        return ABSENT
    return f"{figure:.1f} km" if 0.05 <= figure < 10 else f"{figure:,.0f} km"


def between_kilometres(pair: Any) -> str:
    """An interval of distances as text; ABSENT when there is none."""
    bounds = limits(pair)
    return ABSENT if bounds is None else f"{kilometres(bounds[0]).removesuffix(' km')} to {kilometres(bounds[1])}"


def count(value: Any) -> str:
    """An integer with thousands separators."""
    figure = number(value)
    return ABSENT if figure is None else f"{figure:,.0f}"


def duration(seconds: Any) -> str:
    """Seconds as "8.4 s", "3 min 05 s" or "2 h 07 min"."""
    figure = number(seconds)
    if figure is None:
        return ABSENT
    if figure < 59.95:
        return f"{figure:.1f} s"
    whole = round(figure)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def words(name: object) -> str:
    """A key such as `wrong_place` as words."""
    return clean(name).replace("_", " ")


def place(city: Any, country: Any) -> str:
    """City and country as one text; empty when neither is known."""
    return ", ".join(part for part in (clean(city, 80), clean(country, 80)) if part)


def position(lat_deg: Any, lon_deg: Any) -> str:
    """Coordinates as text, in decimal degrees; empty when unknown."""
    lat, lon = number(lat_deg), number(lon_deg)
    if lat is None or lon is None:
        return ""
    return f"{abs(lat):.2f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.2f}° {'E' if lon >= 0 else 'W'}"


def place_or_position(where: Mapping[str, Any]) -> str:
    """The best name for a place: city and country, else coordinates, else empty."""
    return place(where.get("city"), where.get("country")) or position(where.get("lat_deg"), where.get("lon_deg"))
