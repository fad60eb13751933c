"""The world map: geometry only; the template draws it. It needs no map data: the gazetteer's towns show where land is.

Projection: Equal Earth (Savric, Patterson, Jenny 2018, doi:10.1080/13658816.2018.1504949).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from globe.geo.distance import THRESHOLDS_KM
from globe.geo.gazetteer import gazetteer

WIDTH = 1000.0
_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_SOUTH_DEG, _NORTH_DEG = -58.0, 80.0
_CELL = 4.4
_ROW = _CELL * math.sqrt(3) / 2
DENSE_TOWNS = 12
"""Cells with at least this many towns get the stronger dot."""
MAX_ARCS = 320
MAX_NODES = 700
RIGHT_KM = 25
BANDS_KM = tuple(km for km in THRESHOLDS_KM if km > RIGHT_KM)
"""Upper bounds of the first error bands; the last band is open."""


def _equal_earth(lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    theta = np.arcsin(math.sqrt(3) / 2 * np.sin(np.radians(lat_deg)))
    t2 = theta * theta
    t6 = t2 * t2 * t2
    slope = _A1 + 3 * _A2 * t2 + t6 * (7 * _A3 + 9 * _A4 * t2)
    x = 2 * math.sqrt(3) / 3 * np.radians(lon_deg) * np.cos(theta) / slope
    return x, theta * (_A1 + _A2 * t2 + t6 * (_A3 + _A4 * t2))


def _corner(lat_deg: float, lon_deg: float) -> tuple[float, float]:
    x, y = _equal_earth(np.array(lat_deg), np.array(lon_deg))
    return float(x), float(y)


_SCALE = WIDTH / (2 * _corner(0, 180)[0])
_TOP = _corner(_NORTH_DEG, 0)[1]
HEIGHT = round((_TOP - _corner(_SOUTH_DEG, 0)[1]) * _SCALE, 1)


def project(lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """Position of a point on the map: x to the right in 0..WIDTH, y downwards with 0 at 80 degrees north."""
    x, y = _project_all(np.array(lat_deg), np.array(lon_deg))
    return round(float(x), 1), round(float(y), 1)


def _project_all(lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _equal_earth(lat_deg, lon_deg)
    return WIDTH / 2 + x * _SCALE, (_TOP - y) * _SCALE


@dataclass(frozen=True)
class Answered:
    """One answer: where the picture was taken, and where the model placed it (None if it named no known place)."""

    truth_name: str
    truth_deg: tuple[float, float]
    answer_name: str
    answer_deg: tuple[float, float] | None
    distance_km: float | None
    right: bool
    """Whether it counts as right, which the point of a country alone never does."""


@dataclass(frozen=True)
class Node:
    """A place where pictures were taken."""

    x: float
    y: float
    radius: float
    right_radius: float
    label: str


@dataclass(frozen=True)
class Arc:
    """Answers with the same true place and the same answered place."""

    path: str
    band: int
    width: float
    label: str


@dataclass(frozen=True)
class ErrorMap:
    """Everything the template draws for one evaluation."""

    nodes: list[Node]
    arcs: list[Arc]
    pairs: int
    """How many different pairs of truth and answer there are; more than arcs if only the most frequent are drawn."""
    right: int
    wrong: int
    unplaced: int


@dataclass(frozen=True)
class Background:
    """Land drawn as dots of towns (an SVG path for sparse cells, one for dense cells), the graticule and the outline."""

    sparse: str
    dense: str
    graticule: str
    outline: str


def background_of(lat_deg: np.ndarray, lon_deg: np.ndarray) -> Background:
    """Bin places into a hexagonal grid of dots.

    Args:
        lat_deg: Latitudes, shape (places,).
        lon_deg: Longitudes, shape (places,).
    """
    inside = (lat_deg >= _SOUTH_DEG) & (lat_deg <= _NORTH_DEG)
    x, y = _project_all(lat_deg[inside], lon_deg[inside])
    row = np.rint(y / _ROW).astype(int)
    column = np.rint(x / _CELL - row % 2 / 2).astype(int)
    cells, towns = np.unique(np.stack([row, column]), axis=1, return_counts=True)
    paths: dict[bool, list[str]] = {False: [], True: []}
    for (at_row, at_column), found in zip(cells.T.tolist(), towns.tolist(), strict=True):
        dot = f"M{(at_column + at_row % 2 / 2) * _CELL:.1f} {at_row * _ROW:.1f}h0"
        paths[found >= DENSE_TOWNS].append(dot)
    return Background("".join(paths[False]), "".join(paths[True]), _graticule(), _outline())


@cache
def gazetteer_background() -> Background:
    """The background made from the places of the gazetteer, in which answers are looked up."""
    lat_e5, lon_e5, _ = gazetteer().coordinates()
    return background_of(np.asarray(lat_e5) / 1e5, np.asarray(lon_e5) / 1e5)


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _graticule() -> str:
    steps = range(int(_SOUTH_DEG), int(_NORTH_DEG) + 1, 6)
    meridians = [_polyline([project(lat, lon) for lat in steps]) for lon in range(-150, 180, 30)]
    parallels = [_polyline([project(lat, -180), project(lat, 180)]) for lat in (-30, 0, 30, 60)]
    return "".join(meridians + parallels)


def _outline() -> str:
    lats = [_SOUTH_DEG + i * (_NORTH_DEG - _SOUTH_DEG) / 30 for i in range(31)]
    return _polyline([project(lat, -180) for lat in lats] + [project(lat, 180) for lat in reversed(lats)]) + "Z"


def great_circle(start_deg: tuple[float, float], end_deg: tuple[float, float]) -> str:
    """SVG path of the shortest way between two (lat_deg, lon_deg), interrupted where it crosses the map's edge."""
    a, b = _vector(start_deg), _vector(end_deg)
    angle = math.acos(max(-1.0, min(1.0, sum(p * q for p, q in zip(a, b, strict=True)))))
    if math.pi - angle < 1e-3:  # antipodes have no single shortest way, so the end is moved a little
        b = _vector((end_deg[0] * 0.99 + 0.1, end_deg[1] + 0.5))
        angle = math.acos(max(-1.0, min(1.0, sum(p * q for p, q in zip(a, b, strict=True)))))
    steps = max(2, min(28, round(math.degrees(angle) / 4)))
    pieces: list[list[tuple[float, float]]] = [[]]
    last_lon = start_deg[1]
    for i in range(steps + 1):
        t = i / steps
        if angle < 1e-9:
            lat, lon = start_deg
        else:
            w, v = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
            x, y, z = (w * p + v * q for p, q in zip(a, b, strict=True))
            lat, lon = math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))
        if abs(lon - last_lon) > 180:
            edge = math.copysign(180.0, last_lon)
            pieces[-1].append(project(lat, edge))
            pieces.append([project(lat, -edge)])
        pieces[-1].append(project(lat, lon))
        last_lon = lon
    return "".join(_polyline(piece) for piece in pieces)


def _vector(point_deg: tuple[float, float]) -> tuple[float, float, float]:
    lat, lon = math.radians(point_deg[0]), math.radians(point_deg[1])
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _clamp(lat_deg: float) -> float:
    return max(_SOUTH_DEG, min(_NORTH_DEG, lat_deg))


def error_map(answers: Sequence[Answered]) -> ErrorMap:
    """Group answers into places, and into lines from truth to answer.

    Errors with the same truth and answer share one line; where there are very many truths, so do those near each other. If there
    are more than `MAX_ARCS` different ones, the most frequent are drawn, and of equally frequent ones the farthest.
    """
    places: dict[tuple[float, float], list[Answered]] = defaultdict(list)
    pairs: dict[tuple[tuple[float, float], tuple[float, float]], list[Answered]] = defaultdict(list)
    right = wrong = unplaced = 0
    digits = 2 if len({answer.truth_deg for answer in answers}) <= MAX_NODES else 0
    for answer in answers:
        places[_rounded(answer.truth_deg, digits)].append(answer)
        if answer.answer_deg is None or answer.distance_km is None:
            unplaced += 1
        elif answer.right:
            right += 1
        else:
            wrong += 1
            pairs[_rounded(answer.truth_deg, digits), _rounded(answer.answer_deg, digits)].append(answer)
    ranked = sorted(pairs.values(), key=lambda group: (-len(group), -(group[0].distance_km or 0)))[:MAX_ARCS]
    most = max((len(group) for group in places.values()), default=1)
    nodes = sorted((_node(group, most) for group in places.values()), key=lambda node: -node.radius)
    arcs = sorted((_arc(group, len(ranked[0])) for group in ranked), key=lambda arc: arc.width)
    return ErrorMap(nodes, arcs, len(pairs), right, wrong, unplaced)


def _rounded(point_deg: tuple[float, float], digits: int) -> tuple[float, float]:
    return round(point_deg[0], digits), round(point_deg[1], digits)


def _node(group: list[Answered], most: int) -> Node:
    right = sum(answer.right for answer in group)
    radius = 2.2 + 3.6 * math.sqrt(len(group) / most)
    x, y = project(_clamp(group[0].truth_deg[0]), group[0].truth_deg[1])
    names = {answer.truth_name for answer in group}
    name = group[0].truth_name if len(names) == 1 else f"around {group[0].truth_name}"
    label = f"{name}: {right} of {len(group)} within {RIGHT_KM} km"
    return Node(x, y, round(radius, 1), round(radius * math.sqrt(right / len(group)), 1), label)


def _arc(group: list[Answered], most: int) -> Arc:
    first = group[0]
    assert first.answer_deg is not None
    assert first.distance_km is not None
    band = sum(first.distance_km > bound for bound in BANDS_KM)
    width = round(0.7 + 2.0 * math.sqrt(len(group) / most), 1) if most > 1 else 0.9
    near = "around " if len({(answer.truth_name, answer.answer_name) for answer in group}) > 1 else ""
    label = f"{near}{first.truth_name} taken for {first.answer_name}: {len(group)} × {first.distance_km:,.0f} km"
    return Arc(great_circle(first.truth_deg, first.answer_deg), band, width, label)
