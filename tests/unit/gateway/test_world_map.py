"""The page's map: what it is made by, and what is in the file that is."""

import json
import math
from importlib.resources import files

import numpy as np
import pytest

from globe.gateway.world_map import (
    DIGITS,
    UNIT_DEG,
    area_km2,
    chosen_towns,
    decoded_arcs,
    encoded,
    importances,
    label_position,
    positions,
    simplified,
    steps_of,
    world,
)
from globe.geo.gazetteer import Place

SQUARE = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0), (0.0, 0.0)]


@pytest.fixture(scope="module")
def made():
    """The file that the page loads."""
    return json.loads((files("globe.gateway") / "static" / "world.json").read_text(encoding="utf-8"))


def decoded(text: str) -> list[int]:
    """As the page reads it."""
    numbers, value, shift = [], 0, 0
    for digit in text:
        bits = DIGITS.index(digit)
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            numbers.append(-((value + 1) >> 1) if value & 1 else value >> 1)
            value = shift = 0
    return numbers


def lines(made: dict) -> list[list[tuple[float, float]]]:
    found = []
    for text in made["arcs"]:
        steps = np.array(decoded(text)).reshape(-1, 2).cumsum(axis=0) * made["unit_deg"]
        found.append([(float(lon), float(lat)) for lon, lat in steps])
    return found


def inside(lat: float, lon: float, country: list, arcs: list) -> bool:
    """Whether a position is in a country: the number of edges between it and the north pole is odd."""
    crossed = 0
    for ring in country[4]:
        shape = positions(ring, arcs)
        x = shape[:, 0] + 360 * np.round((lon - shape[:, 0].mean()) / 360)
        (x1, x2), (y1, y2) = (x[:-1], x[1:]), (shape[:-1, 1], shape[1:, 1])
        between = (x1 > lon) != (x2 > lon)
        with np.errstate(divide="ignore", invalid="ignore"):
            crossed += int((between & (y1 + (lon - x1) * (y2 - y1) / (x2 - x1) > lat)).sum())
    return crossed % 2 == 1


@pytest.mark.parametrize("numbers", [[0], [1, -1, 15, -16, 16, 31, 32, -33], [18000, -9000, 2**30, -(2**30)]])
def test_numbers_are_read_back(numbers):
    assert decoded(encoded(numbers)) == numbers


def test_a_small_step_takes_one_character():
    assert len(encoded([7, -8])) == 2


def test_topojson_lines_are_steps_from_a_first_position():
    topology = {"transform": {"scale": [0.5, 2], "translate": [-180, -90]}, "arcs": [[[0, 0], [2, 1]], [[360, 45]]]}
    assert decoded_arcs(topology) == [[(-180, -90), (-179, -88)], [(0, 0)]]


def test_what_matters_least_goes_first_and_ends_stay():
    arc = [(0.0, 0.0), (1.0, 0.01), (2.0, 2.0), (3.0, 0.0), (4.0, 0.0)]
    matter = importances(arc)
    assert matter[0] == matter[-1] == math.inf
    assert matter[2] > matter[3] > matter[1]
    assert simplified([arc], 4) == [[arc[0], arc[2], arc[3], arc[4]]]


def test_an_island_keeps_an_area_however_few_points_are_left():
    [island] = simplified([SQUARE], 1)
    assert len(island) == 4
    assert area_km2(np.array(island)) > 0


def test_steps_leave_out_what_is_the_same_place_in_units():
    assert steps_of([(1.0, 1.0), (1.0 + UNIT_DEG / 9, 1.0), (1.0 + UNIT_DEG, 1.0 - UNIT_DEG)]) == [50, 50, 1, -1]


def test_a_ring_over_the_180th_meridian_has_no_jump_and_one_around_a_pole_is_closed_along_it():
    over = positions([0], [[(179.0, 0.0), (-179.0, 0.0), (-179.0, 2.0), (179.0, 0.0)]])
    assert np.ptp(over[:, 0]) == pytest.approx(2)
    around = positions([0], [[(lon, -60.0) for lon in (-180.0, -90.0, 0.0, 90.0, 180.0)]])
    cap_km2 = 2 * math.pi * 6371.0088**2 * (1 - math.sin(math.radians(60)))
    assert area_km2(around) == pytest.approx(cap_km2, rel=1e-6)


def test_a_label_stands_where_its_country_is_wide():
    hourglass = np.array([(0, 0), (10, 0), (5.2, 4), (6, 6), (4, 6), (4.8, 4), (0, 0)], float)
    lon, lat = label_position(hourglass)
    assert 3.5 < lon < 6.5
    assert lat < 2


def town(name: str, lat: float, lon: float, population: int) -> Place:
    return Place(0, name, "FR", "", lat, lon, population, 0, True)


def test_towns_in_the_shade_of_a_larger_one_are_left_out():
    towns = [town("Suburb", 48.8, 2.4, 900_000), town("City", 48.85, 2.35, 9_000_000), town("Far", 45.7, 4.8, 500_000)]
    assert [place.name for place in chosen_towns(towns)] == ["City", "Far"]


def test_borders_that_two_countries_share_are_stored_once():
    shared, left, right = [[0, 0], [0, 9]], [[0, 9], [-9, -9], [9, 0]], [[0, 0], [9, 0], [-9, 9]]
    topology = {
        "transform": {"scale": [1, 1], "translate": [0, 0]},
        "arcs": [shared, left, right],
        "objects": {
            "countries": {
                "geometries": [
                    {"type": "Polygon", "id": "250", "properties": {"name": "F"}, "arcs": [[0, 1]]},
                    {"type": "MultiPolygon", "id": "276", "properties": {"name": "D"}, "arcs": [[[~0, 2]]]},
                    {"type": None, "properties": {"name": "nowhere"}},
                ]
            }
        },
    }
    made = world(topology, [town("City", 1, 1, 1_000_000)])
    assert sorted((one[0], one[4]) for one in made["countries"]) == [("France", [[0, 1]]), ("Germany", [[-1, 2]])]
    assert len(made["arcs"]) == 3
    assert made["towns"] == [["City", 1, 1]]


@pytest.mark.parametrize(
    ("country", "lat", "lon"),
    [
        ("France", 47.0, 2.5), ("Fiji", -17.8, 178.0), ("Russia", 67.0, -175.0), ("Russia", 56.0, 93.0), ("Lesotho", -29.6, 28.2),
        ("Antarctica", -80.0, 100.0), ("New Zealand", -43.5, 171.0), ("Japan", 36.2, 138.0), ("Brazil", -10.0, -55.0),
        ("Singapore", 1.36, 103.82), ("Kazakhstan", 48.0, 67.0), ("United States", 64.0, -152.0),
    ],
)  # fmt: skip
def test_a_position_lies_in_its_country_and_in_no_other(made, country, lat, lon):
    arcs = lines(made)
    assert [one[0] for one in made["countries"] if inside(lat, lon, one, arcs)] == [country]


def test_every_label_is_a_position_and_every_town_is_named(made):
    assert len(made["countries"]) > 230
    names = [one[0] for one in made["countries"] if one[0]]
    assert len(set(names)) == len(names)
    for _, lat, lon, area, rings in made["countries"]:
        assert -90 <= lat <= 90
        assert -180 <= lon <= 180
        assert area >= 0
        assert all(-len(made["arcs"]) <= at < len(made["arcs"]) for ring in rings for at in ring)
    assert len(made["towns"]) == 900
    assert all(name and abs(lat) <= 90 and abs(lon) <= 180 for name, lat, lon in made["towns"])


def test_the_land_covers_what_land_covers(made):
    arcs = lines(made)
    total = sum(area_km2(positions(ring, arcs)) for one in made["countries"] for ring in one[4])
    assert total == pytest.approx(148.9e6, rel=0.02)  # km² of land, Antarctica included
