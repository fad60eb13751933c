"""Positions to places: the city that a position belongs to."""

from __future__ import annotations

import math

from globe.geo.distance import distance_km, valid_position
from globe.geo.gazetteer import gazetteer
from globe.geo.match import NO_MATCH, Match, match_of


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
    row, column = min(int(lat_deg + 90), 179), int(lon_deg + 180) % 360
    reach = 1
    while True:
        columns = min(180, max(1, math.ceil(reach / cos_lat)))
        for r in range(max(0, row - reach), min(180, row + reach + 1)):
            for c in range(column - columns, column + columns + 1 if columns < 180 else column + columns):
                for i in gaz.cell(r, c % 360):
                    dy = (lat_e5[i] / 1e5 - lat_deg) * 111.2
                    dx = math.remainder(lon_e5[i] / 1e5 - lon_deg, 360.0) * 111.2 * cos_lat
                    score = (math.hypot(dx, dy) + 1.0) / (min(40.0, math.sqrt(population[i] / 6283.0)) + 1.0)
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
