"""Recall against area, against counting points on a sphere."""

import math
from typing import Any

import numpy as np
import pytest

from globe.figures.area import EARTH_RADIUS_KM, added_areas_km2, disc_area_km2, recall_area
from globe.geo.distance import distance_km


def vectors(lat_lon_deg: list[tuple[float, float]]) -> np.ndarray:
    lat, lon = np.radians(lat_lon_deg).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def place(lat_deg: float | None, lon_deg: float | None, level: str = "city") -> dict[str, Any]:
    return {"lat_deg": lat_deg, "lon_deg": lon_deg, "level": level}


def at_radius(curve: list[dict[str, Any]], radius_km: int) -> list[tuple[int, float, float]]:
    return [(one["answers"], one["area_km2"], one["recall_percent"]) for one in curve if one["radius_km"] == radius_km]


@pytest.mark.parametrize(("radius_km", "middle"), [(200, (0.0, 179.9)), (750, (48.0, 2.0)), (2500, (89.5, 10.0))])
def test_the_area_of_a_union_is_that_of_points_counted_on_a_sphere(radius_km: float, middle: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    centre = vectors([middle])[0]
    centres = centre + rng.normal(0, radius_km / EARTH_RADIUS_KM, (5, 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    added = added_areas_km2(centres[None], radius_km)[0]
    sides = np.linalg.svd(centre[None])[2]
    height = rng.uniform(math.cos(6 * radius_km / EARTH_RADIUS_KM), 1, 400_000)  # a cap that holds all of them
    turn, away = rng.uniform(0, 2 * math.pi, 400_000), np.sqrt(1 - height**2)
    points = np.stack([height, away * np.cos(turn), away * np.sin(turn)], axis=1) @ (sides * np.sign(sides[0] @ centre))
    inside = points @ centres.T >= math.cos(radius_km / EARTH_RADIUS_KM)
    for count in range(1, 6):
        counted = inside[:, :count].any(axis=1).mean() * disc_area_km2(6 * radius_km)
        assert added[:count].sum() == pytest.approx(counted, rel=0.03)


def test_discs_that_do_not_touch_add_their_whole_area_and_one_that_is_repeated_adds_none() -> None:
    apart = added_areas_km2(vectors([(0, 0), (0, 40), (0, 0)])[None], 1000)[0]
    assert apart.tolist() == pytest.approx([disc_area_km2(1000), disc_area_km2(1000), 0.0])
    assert disc_area_km2(1) == pytest.approx(math.pi, rel=1e-6)
    assert disc_area_km2(math.pi * EARTH_RADIUS_KM) == pytest.approx(4 * math.pi * EARTH_RADIUS_KM**2)


def test_places_that_more_samples_gave_are_searched_first() -> None:
    rare, often = place(10.0, 10.0), place(20.0, 20.0)
    record = {"truth": place(20.0, 20.0), "samples": [rare, often, often]}
    assert at_radius(recall_area([record]), 25) == [
        (1, pytest.approx(disc_area_km2(25), abs=0.1), 100.0),
        (2, pytest.approx(2 * disc_area_km2(25), abs=0.1), 100.0),
    ]


def test_recall_and_area_are_means_over_all_pictures_with_samples_those_without_an_answer_too() -> None:
    truth = place(10.0, 10.0)
    near, far, none = place(10.5, 10.0), place(-40.0, 100.0), place(None, None)
    records = [{"truth": truth, "samples": given} for given in ([far, near], [near], [none, none])] + [{"truth": truth}]
    assert 25 < distance_km(10, 10, 10.5, 10) < 200
    curve = recall_area(records)
    assert {one["n"] for one in curve} == {3}
    disc = disc_area_km2(200)
    assert at_radius(curve, 200) == [
        (1, pytest.approx(2 * disc / 3, abs=0.1), pytest.approx(100 / 3, abs=1e-3)),
        (2, pytest.approx(3 * disc / 3, abs=0.1), pytest.approx(200 / 3, abs=1e-3)),
    ]
    assert [recall for _, _, recall in at_radius(curve, 25)] == [0.0, 0.0]


def test_a_country_alone_is_searched_only_with_discs_as_large_as_countries() -> None:
    record = {"truth": place(10.0, 10.0), "samples": [place(10.0, 10.0, "country")]}
    found = {one["radius_km"]: (one["area_km2"] > 0, one["recall_percent"]) for one in recall_area([record])}
    assert found == {1: (False, 0.0), 25: (False, 0.0), 200: (False, 0.0), 750: (True, 100.0), 2500: (True, 100.0)}


@pytest.mark.parametrize(
    "samples", [None, [], "x", {}, 7, [None], [5], [{"lat_deg": "1", "lon_deg": 2}], [{"lat_deg": math.nan}]]
)
def test_samples_that_are_none_have_no_curve(samples: Any) -> None:
    assert recall_area([{"truth": place(1.0, 1.0), "samples": samples}]) == []
    assert recall_area([{"truth": place(None, 1.0), "samples": [place(1.0, 1.0)]}, {"samples": [place(1.0, 1.0)]}]) == []
