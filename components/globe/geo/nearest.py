"""Positions to places: the city that a position belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterator

from globe.geo.distance import distance_km, valid_position
from globe.geo.gazetteer import gazetteer
from globe.geo.match import NO_MATCH, Match, match_of

KM_PER_DEG = 111.2
MAX_RADIUS_KM = 40.0
"""Of a city's disc."""
_HALF_CELL_DEG = 0.501
"""Half a cell's side, and a little for places that lie on its edge."""


def nearest_city(lat_deg: float, lon_deg: float, max_km: float = 100.0) -> Match:
    """The place that a position belongs to, large places reaching farther than small ones.

    A place of population P has the radius of a disc of 2,000 people per km2, at most 40 km; the place with the least
    (distance + 1 km) / (radius + 1 km) is taken, so a suburb near its centre is itself and the fringe is the city's.

    Args:
        lat_deg: Latitude in degrees.
        lon_deg: Longitude in degrees.
        max_km: Farther places are not taken; with none nearer the match is "none".

    Raises:
        ValueError: the position is out of range.
    """
    if not valid_position(lat_deg, lon_deg):
        raise ValueError(f"position out of range: ({lat_deg}, {lon_deg})")
    gaz = gazetteer()
    lat_e5, lon_e5, population = gaz.coordinates()
    cos_lat = max(0.01, math.cos(math.radians(lat_deg)))
    best, best_score = -1, math.inf
    reach = 1
    while True:
        for near_km, cell in _cells(lat_deg, lon_deg, reach, cos_lat):
            if (near_km + 1.0) / (MAX_RADIUS_KM + 1.0) > best_score:
                continue  # nor has the largest city a lower score there
            for i in gaz.cell(*cell):
                dy = (lat_e5[i] / 1e5 - lat_deg) * KM_PER_DEG
                dx = math.remainder(lon_e5[i] / 1e5 - lon_deg, 360.0) * KM_PER_DEG * cos_lat
                score = (math.hypot(dx, dy) + 1.0) / (min(MAX_RADIUS_KM, math.sqrt(population[i] / 6283.0)) + 1.0)
                if score < best_score:
                    best, best_score = i, score
        if best >= 0 or reach * 111.0 > max_km:
            break
        reach = min(reach * 2, math.ceil(max_km / 111.0) + 1) if reach * 111.0 <= max_km else reach
    if best < 0:
        return NO_MATCH
    place = gaz.place(best)
    if distance_km(lat_deg, lon_deg, place.lat_deg, place.lon_deg) > max_km:
        return NO_MATCH
    return match_of(gaz, place, 1, "distance")


def _cells(lat_deg: float, lon_deg: float, reach: int, cos_lat: float) -> Iterator[tuple[float, tuple[int, int]]]:
    """The cells of a degree each around a position, its own first, and how far away in km their places are at least."""
    row, column = min(int(lat_deg + 90), 179), int(lon_deg + 180)
    columns = min(180, max(1, math.ceil(reach / cos_lat)))
    yield 0.0, (row, column % 360)
    for r in range(max(0, row - reach), min(180, row + reach + 1)):
        north_km = max(0.0, abs(r - 89.5 - lat_deg) - _HALF_CELL_DEG) * KM_PER_DEG
        for c in range(column - columns, column + columns + 1 if columns < 180 else column + columns):
            if (r, c) != (row, column):
                # All the way around, there is no telling on which side a cell is nearer.
                east_km = max(0.0, abs(c - 179.5 - lon_deg) - _HALF_CELL_DEG) * KM_PER_DEG * cos_lat if columns < 180 else 0.0
                yield math.hypot(north_km, east_km), (r, c % 360)
