"""Predictions near Paris, for the tests of metrics and comparisons."""

from typing import Any

PARIS = {"country": "France", "city": "Paris", "lat_deg": 48.85341, "lon_deg": 2.3488}


def record(identity: str, km_east: float | None = 0.0, status: str = "ok", **fields: Any) -> dict[str, Any]:
    """A prediction some degrees of longitude east of Paris, or without a position."""
    position = (
        {"lat_deg": None, "lon_deg": None} if km_east is None else {"lat_deg": 48.85341, "lon_deg": 2.3488 + km_east / 73.3}
    )
    return {"id": identity, "status": status, "country": "France", "city": "Paris", **position, "truth": PARIS, **fields}
