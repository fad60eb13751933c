import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.report import worldmap
from globe.report.worldmap import MAX_ARCS, Answered, background_of, error_map, great_circle, project

LAT = st.floats(-57, 79)
LON = st.floats(-180, 180)


def points_of(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+?) ([^ML ]+)", path)]


@given(LAT, LON)
def test_every_place_falls_on_the_map(lat_deg: float, lon_deg: float) -> None:
    x, y = project(lat_deg, lon_deg)
    assert 0 <= x <= worldmap.WIDTH
    assert 0 <= y <= worldmap.HEIGHT


def test_the_projection_is_equal_earth() -> None:
    # Savric, Patterson, Jenny 2018: the pole line is 0.59247 as long as the equator, height to width is 0.48664.
    pole = project(90, 180)[0] - project(90, -180)[0]
    assert pole / worldmap.WIDTH == pytest.approx(0.59247, abs=2e-4)
    assert (project(-90, 0)[1] - project(90, 0)[1]) / worldmap.WIDTH == pytest.approx(0.48664, abs=2e-4)


@given(st.tuples(LAT, LON), st.tuples(LAT, LON))
def test_a_line_leads_from_truth_to_answer_without_crossing_the_whole_map(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    path = great_circle(start, end)
    points = points_of(path)
    assert points[0] == pytest.approx(project(*start), abs=0.11)
    for piece in path.split("M")[1:]:
        steps = points_of("M" + piece)
        for (x1, _), (x2, _) in pairwise(steps):
            assert abs(x1 - x2) < worldmap.WIDTH * 0.62  # the pole is a line: over it, a step may be long


def test_a_line_over_the_date_line_is_broken_in_two() -> None:
    assert great_circle((35.7, 139.7), (37.8, -122.4)).count("M") == 2
    assert great_circle((48.9, 2.3), (45.7, 4.8)).count("M") == 1


def test_opposite_ends_of_the_earth_and_equal_points_have_a_line() -> None:
    assert "nan" not in great_circle((0.0, 0.0), (0.0, 180.0)) + great_circle((45.0, 10.0), (-45.0, -170.0))
    assert "nan" not in great_circle((10.0, 10.0), (10.0, 10.0))


PARIS, LYON, TOKYO = (48.85, 2.35), (45.75, 4.85), (35.69, 139.69)


def test_errors_are_gathered_by_truth_and_answer() -> None:
    answers = [
        Answered("Paris", PARIS, "Paris", PARIS, 0.0, True),
        Answered("Paris", PARIS, "Lyon", LYON, 392.0, False),
        Answered("Paris", PARIS, "Lyon", LYON, 392.0, False),
        Answered("Tokyo", TOKYO, "Paris", PARIS, 9712.0, False),
        Answered("Tokyo", TOKYO, "", None, None, False),
    ]
    drawn = error_map(answers)
    assert (drawn.right, drawn.wrong, drawn.unplaced, drawn.pairs) == (1, 3, 1, 2)
    assert {(arc.label, arc.band) for arc in drawn.arcs} == {
        ("Paris taken for Lyon: 2 × 392 km", 1),
        ("Tokyo taken for Paris: 1 × 9,712 km", 3),
    }
    assert {node.label for node in drawn.nodes} == {"Paris: 1 of 3 within 25 km", "Tokyo: 0 of 2 within 25 km"}
    assert all(node.right_radius <= node.radius for node in drawn.nodes)


def test_a_large_evaluation_stays_drawable() -> None:
    rng = np.random.default_rng(0)
    lats, lons = rng.uniform(-50, 70, (2, 5000)), rng.uniform(-179, 179, (2, 5000))
    answers = [Answered(str(i), (lats[0, i], lons[0, i]), "x", (lats[1, i], lons[1, i]), 5000.0, False) for i in range(5000)]
    drawn = error_map(answers)
    assert len(drawn.arcs) == MAX_ARCS
    assert drawn.pairs == 5000
    assert sum(len(arc.path) + len(arc.label) for arc in drawn.arcs) < 250_000


def test_nothing_answered_is_an_empty_map() -> None:
    assert error_map([]) == worldmap.ErrorMap([], [], 0, 0, 0, 0)


def test_places_become_dots_and_the_poles_are_left_out() -> None:
    drawn = background_of(np.array([48.85, 48.85, 89.0, -75.0]), np.array([2.35, 2.36, 0.0, 0.0]))
    assert (drawn.sparse.count("h0"), drawn.dense) == (1, "")
    crowded = background_of(np.full(worldmap.DENSE_TOWNS, 10.0), np.full(worldmap.DENSE_TOWNS, 20.0))
    assert (crowded.sparse, crowded.dense.count("h0")) == ("", 1)
