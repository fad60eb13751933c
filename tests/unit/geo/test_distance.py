"""Distances agree with geopy to a millimetre; thresholds and scores are the field's."""

import math

import numpy as np
import pytest
from geopy.distance import geodesic, great_circle
from hypothesis import given, settings
from hypothesis import strategies as st

from globe.geo.distance import EARTH_RADIUS_KM, THRESHOLDS_KM, distance_km, distances_km, geoscore, unit_vectors

LAT, LON = st.floats(-90, 90), st.floats(-180, 180)
MILLIMETRE_KM = 1e-6


@settings(max_examples=300, deadline=None)  # the first call imports pyproj
@given(LAT, LON, LAT, LON)
def test_distances_agree_with_geopy_to_a_millimetre(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    reference = geodesic((lat1, lon1), (lat2, lon2)).km
    assert distance_km(lat1, lon1, lat2, lon2) == pytest.approx(reference, abs=MILLIMETRE_KM)
    assert distances_km([lat1], [lon1], [lat2], [lon2])[0] == pytest.approx(reference, abs=MILLIMETRE_KM)


@pytest.mark.parametrize(
    "pair",
    [
        (0, 0, 0, 180), (0, 0, 0.5, 179.7), (10, 20, -10, -160), (90, 0, -90, 0), (0, -180, 0, 180), (90, 10, 90, -70),
        (0, 0, 0, 90),
        (1e-9, 0, 0, 1e-9), (30, 0, -30, 179.99), (0, 0, 0, 179.5), (0.0, 0.0, 1e-300, 0.0),
        (-41.32, 174.81, 40.96, -5.50), (89.9999, 0, 89.9999, 180),
    ],
)  # fmt: skip
def test_poles_antipodes_and_the_date_line_agree_too(pair: tuple[float, float, float, float]) -> None:
    reference = geodesic(pair[:2], pair[2:]).km
    assert distance_km(*pair) == pytest.approx(reference, abs=MILLIMETRE_KM)
    assert distances_km(*([v] for v in pair))[0] == pytest.approx(reference, abs=MILLIMETRE_KM)


def test_bulk_and_single_distances_are_the_same() -> None:
    rng = np.random.default_rng(0)
    lat1, lat2 = np.degrees(np.arcsin(rng.uniform(-1, 1, (2, 5000))))
    lon1, lon2 = rng.uniform(-180, 180, (2, 5000))
    bulk = distances_km(lat1, lon1, lat2, lon2)
    single = [distance_km(*p) for p in zip(lat1, lon1, lat2, lon2, strict=True)]
    assert np.abs(bulk - single).max() < MILLIMETRE_KM


def test_a_missing_position_gives_nan_in_bulk_and_shapes_broadcast() -> None:
    km = distances_km([[0.0], [math.nan]], [0.0], [0.0, 1.0], 0.0)
    assert km.shape == (2, 2)
    assert np.isnan(km[1]).all()
    assert km[0, 0] == 0.0


@pytest.mark.parametrize("bad", [(91, 0, 0, 0), (0, 181, 0, 0), (math.nan, 0, 0, 0), (0, 0, 0, math.inf)])
def test_positions_out_of_range_are_refused(bad: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="range"):
        distance_km(*bad)
    if not any(math.isnan(v) for v in bad):
        with pytest.raises(ValueError, match="range"):
            distances_km(*([v] for v in bad))


def test_geoscore_is_5000_at_zero_and_zero_without_a_place() -> None:
    assert geoscore(0.0) == 5000.0
    assert geoscore(1492.7) == pytest.approx(5000 / math.e)
    assert geoscore(math.inf) == 0.0
    assert THRESHOLDS_KM == (1, 25, 200, 750, 2500)


@given(LAT, LON, LAT, LON)
def test_unit_vectors_are_as_far_apart_as_their_places_on_a_sphere(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    one, other = unit_vectors([lat1, lat2], [lon1, lon2])
    angle = 2 * math.asin(min(1.0, float(np.linalg.norm(one - other)) / 2))
    sphere = great_circle((lat1, lon1), (lat2, lon2), radius=EARTH_RADIUS_KM).km
    assert angle * EARTH_RADIUS_KM == pytest.approx(sphere, abs=1e-3)
