"""Positions to places: large cities reach farther, the open sea has none."""

import math
import random

import numpy as np
import pytest

from globe.geo.distance import distance_km
from globe.geo.gazetteer import gazetteer
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


def test_no_place_that_is_passed_over_would_have_been_taken() -> None:
    random.seed(1)
    gaz = gazetteer()
    lat_e5, lon_e5, population = (np.asarray(one, dtype=float) for one in gaz.coordinates())
    towns = [gaz.place(random.randrange(len(lat_e5))) for _ in range(100)]
    for town in [town for town in towns if abs(town.lat_deg) < 70]:
        lat_deg, lon_deg = town.lat_deg + random.gauss(0, 0.05), (town.lon_deg + random.gauss(0, 0.05) + 180) % 360 - 180
        north_km = (lat_e5 / 1e5 - lat_deg) * 111.2
        east_km = ((lon_e5 / 1e5 - lon_deg + 180) % 360 - 180) * 111.2 * math.cos(math.radians(lat_deg))
        scores = (np.hypot(north_km, east_km) + 1) / (np.minimum(40, np.sqrt(population / 6283)) + 1)
        best, found = gaz.place(int(np.argmin(scores))), nearest_city(lat_deg, lon_deg)
        if found.match == "none":
            assert distance_km(lat_deg, lon_deg, best.lat_deg, best.lon_deg) > 100
        else:
            assert (found.lat_deg, found.lon_deg) == (best.lat_deg, best.lon_deg)
