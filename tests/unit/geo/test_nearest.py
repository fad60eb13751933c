"""Positions to places: large cities reach farther, the open sea has none."""

import pytest

from globe.geo.nearest import nearest_city


@pytest.mark.parametrize(
    ("lat_deg", "lon_deg", "city", "code"),
    [
        (48.8584, 2.2945, "Paris", "FR"), (40.758, -73.9855, "New York City", "US"), (-33.8568, 151.2153, "Sydney", "AU"),
        (64.1466, -21.9426, "Reykjavík", "IS"), (35.6586, 139.7454, "Tokyo", "JP"), (-16.5, 179.99, "Labasa", "FJ"),
    ],
)  # fmt: skip
def test_the_nearest_city_prefers_the_large_one_around(lat_deg: float, lon_deg: float, city: str, code: str) -> None:
    found = nearest_city(lat_deg, lon_deg)
    assert found.country_code == code
    assert found.city == city


def test_the_open_sea_has_no_city_and_a_position_out_of_range_is_refused() -> None:
    assert nearest_city(0.0, -30.0).match == "none"
    assert nearest_city(90.0, 0.0).match == "none"
    for lat, lon in ((91.0, 0.0), (0.0, 181.0), (float("nan"), 0.0)):
        with pytest.raises(ValueError, match="range"):
            nearest_city(lat, lon)
