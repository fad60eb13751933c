"""Makes the page's map: outlines of countries, and the towns that help to find one's way, in one small file.

``python -m globe.gateway.world_map countries-50m.json components/globe/gateway/static/world.json`` makes it again. The input is
part of the npm package world-atlas 2.0.2 (ISC licence), which holds Natural Earth's borders at 1:50m (public domain) as TopoJSON;
the towns are the gazetteer's (GeoNames, CC BY 4.0).

The file is JSON: `unit_deg`; `arcs`, each a text of base-64 digits (see `encoded`) for a line's positions in steps of `unit_deg`,
each relative to the one before; `countries` as [name, label's latitude, label's longitude, area in 1000 km², rings], where a ring
lists arcs, with ~i for arc i backwards, as in TopoJSON; `towns` as [name, latitude, longitude], the largest first.
"""

from __future__ import annotations

import heapq
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycountry

from globe.geo.countries import find_country
from globe.geo.distance import EARTH_RADIUS_KM, unit_vectors
from globe.geo.gazetteer import Place, gazetteer

UNIT_DEG = 0.02
"""Two kilometres: finer than the outlines that are left."""
MOST_POINTS = 36_000
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
MOST_TOWNS = 900
MOST_LABEL_DEG = 82.0
"""Nearer to a pole there is no room for a label."""
TOWNS_APART = 18.0
"""A town is left out beside a larger one that is nearer than this many km for each million people that the larger one has."""
Point = tuple[float, float]
"""Longitude and latitude in degrees, in this order as in TopoJSON."""


def encoded(numbers: Iterable[int]) -> str:
    """Whole numbers as base-64 digits: zigzag (the lowest bit is the sign), five bits a digit, the sixth if more follow."""
    digits = []
    for number in numbers:
        left = number << 1 if number >= 0 else (-number << 1) - 1
        while left >= 32:
            digits.append(DIGITS[left & 31 | 32])
            left >>= 5
        digits.append(DIGITS[left])
    return "".join(digits)


def decoded_arcs(topology: dict[str, Any]) -> list[list[Point]]:
    """The lines of a quantised TopoJSON document."""
    (x_scale, y_scale), (x_first, y_first) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for steps in topology["arcs"]:
        x = y = 0
        arcs.append([(x_first + (x := x + dx) * x_scale, y_first + (y := y + dy) * y_scale) for dx, dy in steps])
    return arcs


def importances(arc: Sequence[Point]) -> list[float]:
    """What each point of a line matters: the area in square degrees that goes if it does, and all that matter less have gone.

    Visvalingam's algorithm, on the sphere's own proportions. The ends always stay, and so does what gives a closed line an area.
    """
    flat = [(lon * math.cos(math.radians(lat)), lat) for lon, lat in arc]
    before, after = [i - 1 for i in range(len(arc))], [i + 1 for i in range(len(arc))]
    matter = [math.inf] * len(arc)
    least = 4 if arc[0] == arc[-1] else 2

    def area(i: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = flat[before[i]], flat[i], flat[after[i]]
        return abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2

    heap = [(area(i), i) for i in range(1, len(arc) - 1)]
    heapq.heapify(heap)
    now = {i: size for size, i in heap}
    highest, left = 0.0, len(arc)
    while heap and left > least:
        size, i = heapq.heappop(heap)
        if now.get(i) != size:
            continue
        del now[i]
        highest = max(highest, size)
        matter[i] = highest
        left -= 1
        after[before[i]], before[after[i]] = after[i], before[i]
        for neighbour in (before[i], after[i]):
            if 0 < neighbour < len(arc) - 1:
                now[neighbour] = area(neighbour)
                heapq.heappush(heap, (now[neighbour], neighbour))
    return matter


def simplified(arcs: Sequence[Sequence[Point]], most_points: int) -> list[list[Point]]:
    """The same lines with the points that matter most; lines that met still meet."""
    matter = [importances(arc) for arc in arcs]
    ranked = sorted((value for one in matter for value in one), reverse=True)
    bound = ranked[most_points] if len(ranked) > most_points else 0.0
    both = zip(arcs, matter, strict=True)
    return [
        [point for point, value in zip(arc, values, strict=True) if value > bound or value == math.inf] for arc, values in both
    ]


def steps_of(arc: Sequence[Point]) -> list[int]:
    """A line as whole numbers: the first position in units, then from each position to the next; lon and lat in turn."""
    numbers: list[int] = []
    last = (0, 0)
    for lon, lat in arc:
        at = (round(lon / UNIT_DEG), round(lat / UNIT_DEG))
        if not numbers or at != last:
            numbers += [at[0] - last[0], at[1] - last[1]]
        last = at
    return numbers


def rings_of(geometry: dict[str, Any]) -> list[list[int]]:
    """The rings of a polygon or of several, holes included: where they are drawn together, even and odd tells them apart."""
    polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry.get("arcs", [])
    return [ring for polygon in polygons for ring in polygon]


def positions(ring: Sequence[int], arcs: Sequence[Sequence[Point]]) -> np.ndarray:
    """A ring's positions in degrees, shape (points, 2), lon and lat, without a jump where it crosses the 180th meridian.

    A ring around a pole, which ends 360 degrees from where it began, is closed along the pole.
    """
    points = np.array([point for at in ring for point in (arcs[at] if at >= 0 else arcs[~at][::-1])])
    lon, lat = np.unwrap(points[:, 0], period=360), points[:, 1]
    if abs(lon[-1] - lon[0]) > 180:
        pole = math.copysign(90, lat.mean())
        lon, lat = np.append(lon, [lon[-1], lon[0], lon[0]]), np.append(lat, [pole, pole, lat[0]])
    return np.column_stack([lon, lat])


def area_km2(ring: np.ndarray) -> float:
    """Area on the sphere of a ring of positions in degrees, shape (points, 2)."""
    lon, height = np.radians(ring[:, 0]), np.sin(np.radians(ring[:, 1]))
    return float(abs(np.sum(np.diff(lon) * (height[1:] + height[:-1]))) / 2 * EARTH_RADIUS_KM**2)


def label_position(ring: np.ndarray, across: int = 40) -> Point:
    """Of a grid's positions inside a ring, the one that is farthest from its edge, where a wide text fits best."""
    wide = np.cos(np.radians(ring[:, 1].mean())) / 2  # a name is wider than high
    lons, lats = (np.linspace(side.min(), side.max(), across + 2)[1:-1] for side in ring.T)
    x, y = (side.ravel() for side in np.meshgrid(lons, lats))
    (x1, y1), (x2, y2) = ring[:-1].T, ring[1:].T
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = (y1 > y[:, None]) != (y2 > y[:, None])
        inside = (crossed & (x[:, None] < (x2 - x1) * (y[:, None] - y1) / (y2 - y1) + x1)).sum(axis=1) % 2 == 1
    if not inside.any():
        return float(ring[:, 0].mean()), float(ring[:, 1].mean())
    x, y = x[inside], y[inside]
    clear = (np.abs(y) < MOST_LABEL_DEG) * np.hypot((x[:, None] - ring[:, 0]) * wide, y[:, None] - ring[:, 1]).min(axis=1)
    best = int(clear.argmax())
    return float(x[best]), float(y[best])


def country_name(geometry: dict[str, Any]) -> str:
    """The name by which GLOBE knows a country; Natural Earth's own where it knows none."""
    number, said = geometry.get("id", ""), geometry["properties"]["name"]
    known = pycountry.countries.get(numeric=number) if number else None
    land = find_country(known.alpha_2 if known else said)
    return land.name if land else said


def chosen_towns(places: Iterable[Place], most: int = MOST_TOWNS) -> list[Place]:
    """Large towns, the largest first, and none that lies in a larger one's shade."""
    ranked = sorted(places, key=lambda place: -place.population)[: 12 * most]
    at = unit_vectors([place.lat_deg for place in ranked], [place.lon_deg for place in ranked])
    kept: list[int] = []
    for i in range(len(ranked)):
        km = EARTH_RADIUS_KM * np.arccos(np.clip(at[kept] @ at[i], -1, 1)) if kept else np.array([])
        shade = np.array([TOWNS_APART * ranked[k].population / 1e6 for k in kept])
        if not (km < np.maximum(shade, 60)).any():
            kept.append(i)
        if len(kept) == most:
            break
    return [ranked[i] for i in kept]


def world(topology: dict[str, Any], places: Iterable[Place], most_points: int = MOST_POINTS) -> dict[str, Any]:
    """The page's map as a JSON document."""
    arcs = simplified(decoded_arcs(topology), most_points)
    countries: list[list[Any]] = []
    for geometry in topology["objects"]["countries"]["geometries"]:
        rings = rings_of(geometry)
        if not rings:
            continue
        shapes = [positions(ring, arcs) for ring in rings]
        areas = [area_km2(shape) for shape in shapes]
        lon, lat = label_position(shapes[int(np.argmax(areas))])
        lon = (lon + 180) % 360 - 180
        countries.append([country_name(geometry), round(lat, 1), round(lon, 1), round(sum(areas) / 1e3), rings])
    countries.sort(key=lambda one: -one[3])
    known: set[str] = set()
    for one in countries:  # a name is written once, on the largest of what bears it
        one[0] = "" if one[0] in known else one[0]
        known.add(one[0])
    towns = [[place.name, round(place.lat_deg, 2), round(place.lon_deg, 2)] for place in chosen_towns(places)]
    lines = [encoded(steps_of(arc)) for arc in arcs]
    return {"unit_deg": UNIT_DEG, "arcs": lines, "countries": countries, "towns": towns}


def main(source: str, target: str) -> None:
    """Make the map's file from world-atlas's."""
    document = world(json.loads(Path(source).read_text(encoding="utf-8")), gazetteer())
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    Path(target).write_text(text.replace('],["', '],\n["') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
