"""Recall against area: how much of the Earth several sampled answers point at, and how often the picture was taken there.

After Recall vs Area (Bianco, Eigen & Gormish 2024, arXiv 2407.13862): a ranked list of regions, which need not hang together, is
searched from its first on; the share of pictures whose true place has been found is set against the area searched. The regions
here are discs around the places that were answered, ranked by how many of the samples gave each: so a curve over the radius of
the discs says what a wider search around one answer yields, and one over the number of answers what further answers yield.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from globe.figures.confidence import Records, photographers, position_deg, share_interval
from globe.figures.intervals import percent
from globe.geo.distance import COUNTRY_KM, EARTH_RADIUS_KM, THRESHOLDS_KM, distances_km, unit_vectors

POINTS = 256
"""In a disc, to measure how much of it others cover."""
AT_ONCE = 200
"""Pictures whose discs are measured together: few enough to stay in the processor's cache."""


class Region(NamedTuple):
    """A place that was answered."""

    lat_deg: float
    lon_deg: float
    country_only: bool


class Search(NamedTuple):
    """What is searched for one picture: its regions in order, and how far each is from the truth, in km."""

    regions: list[Region]
    km: np.ndarray


def recall_area(records: Records) -> list[dict[str, Any]]:
    """Recall against area, over pictures of which several answers were sampled.

    Args:
        records: Predictions with `samples`.

    Returns:
        For each radius (1, 25, 200, 750, 2500 km) and each number of regions up to the most that a picture has: radius_km,
        answers (regions searched at most), n (pictures), area_km2 (mean area searched), recall_percent and its ci95. Pictures
        without any answer count, with nothing searched. Empty where no picture has samples.
    """
    found_in = {at: search for at, record in enumerate(records) if (search := _search(record))}
    searches, clusters = list(found_in.values()), photographers([records[at] for at in found_in])
    most = max((len(search.regions) for search in searches), default=0)
    centres, km = np.zeros((len(searches), most, 3)), np.full((len(searches), most), np.inf)
    country_only = np.zeros((len(searches), most), dtype=bool)
    for at, search in enumerate(searches):
        here = at, slice(len(search.regions))
        centres[here], km[here] = _unit(search.regions), search.km
        country_only[here] = [region.country_only for region in search.regions]
    curve = []
    for radius_km in THRESHOLDS_KM:
        # The answer of a country alone says nothing of where in the country: it stands for no smaller disc.
        used = np.isfinite(km) & ~(country_only & (radius_km < COUNTRY_KM))
        areas = added_areas_km2(np.where(used[..., None], centres, 0), radius_km)
        found = np.logical_or.accumulate(used & (km <= radius_km), axis=1)
        for rank in range(most):
            curve.append(
                {
                    "radius_km": radius_km,
                    "answers": rank + 1,
                    "n": len(searches),
                    "area_km2": round(float(areas[:, : rank + 1].sum(axis=1).mean()), 1),
                    "recall_percent": percent(found[:, rank].mean()),
                    "ci95": share_interval(found[:, rank], clusters),
                }
            )
    return curve


def _search(record: Mapping[str, Any]) -> Search | None:
    """The regions of a picture, those that more samples gave first, then those given first; None without samples."""
    samples, there = record.get("samples"), _region(record.get("truth"))
    if not isinstance(samples, list) or not samples or there is None:
        return None
    votes = Counter(region for sample in samples if (region := _region(sample)))
    regions = [region for region, _ in votes.most_common()]
    lat, lon = [region.lat_deg for region in regions], [region.lon_deg for region in regions]
    return Search(regions, distances_km(there.lat_deg, there.lon_deg, lat, lon))


def _region(place: Any) -> Region | None:
    lat, lon = position_deg(place)
    return None if math.isnan(lat) else Region(lat, lon, place.get("level") == "country")


def disc_area_km2(radius_km: float) -> float:
    """The area of a disc on the Earth's surface (a spherical cap)."""
    return 2 * math.pi * EARTH_RADIUS_KM**2 * (1 - math.cos(radius_km / EARTH_RADIUS_KM))


def added_areas_km2(centres: np.ndarray, radius_km: float) -> np.ndarray:
    """How much each of some discs adds to the area of those before it.

    Args:
        centres: (searches, discs, 3): vectors of length 1, or 0 where there is no disc.
        radius_km: Of the discs, on the surface; less than a quarter of the way round the Earth.

    Returns:
        (searches, discs): square kilometres. Their sum is the area of the union, to a percent or so where discs overlap.
    """
    near, touching = math.cos(radius_km / EARTH_RADIUS_KM), math.cos(2 * radius_km / EARTH_RADIUS_KM)
    new = centres.any(axis=-1).astype(float)
    for at in range(1, centres.shape[1]):
        close = np.einsum("sk,sdk->sd", centres[:, at], centres[:, :at]) > touching
        overlapping = np.flatnonzero(close.any(axis=1))
        for some in np.array_split(overlapping, len(overlapping) // AT_ONCE + 1):
            covered = _points(centres[some, at], near) @ centres[some, :at].transpose(0, 2, 1) >= near
            new[some, at] *= 1 - covered.any(axis=-1).mean(axis=-1)
    return disc_area_km2(radius_km) * new


def _unit(regions: Sequence[Region]) -> np.ndarray:
    """Positions as vectors of length 1, one a row."""
    return unit_vectors([region.lat_deg for region in regions], [region.lon_deg for region in regions])


def _points(centres: np.ndarray, near: float) -> np.ndarray:
    """Points that are spread evenly over discs, along spirals with the golden angle (Vogel 1979).

    Args:
        centres: (discs, 3): vectors of length 1.
        near: The cosine of their radius as an angle.

    Returns:
        (discs, points, 3).
    """
    step = np.arange(POINTS) + 0.5
    height = 1 - (1 - near) * step / POINTS  # on a sphere, slices of one height have one area
    turn, away = step * math.pi * (3 - math.sqrt(5)), np.sqrt(1 - height**2)
    side = np.cross(centres, np.eye(3)[np.abs(centres).argmin(axis=1)])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    axes = np.stack([side, np.cross(centres, side), centres], axis=1)
    return np.stack([away * np.cos(turn), away * np.sin(turn), height], axis=1) @ axes
