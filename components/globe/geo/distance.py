"""Kilometres on the WGS 84 ellipsoid, and the scores that the field makes from them.

The reference is :func:`geopy.distance.geodesic` (Karney's algorithm). For speed this module computes Vincenty's inverse
formula (T. Vincenty, "Direct and inverse solutions of geodesics on the ellipsoid", Survey Review 23, 1975), which
agrees with it to well under a millimetre, and asks the reference for the nearly antipodal pairs where Vincenty's
iteration does not converge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

THRESHOLDS_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent; an answer counts within a threshold when its distance is ``<=``."""

GEOSCORE_SCALE_KM = 1492.7
GEOSCORE_MAX = 5000.0

_A_M = 6378137.0
_F = 1 / 298.257223563
_B_M = _A_M * (1 - _F)
_EP2 = (_A_M**2 - _B_M**2) / _B_M**2
_MAX_ROUNDS = 12
_TOLERANCE = 1e-13


def valid_position(lat_deg: float, lon_deg: float) -> bool:
    """Whether both are finite, the latitude within +-90 and the longitude within +-180 degrees."""
    return -90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0  # NaN compares false


def haversine(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    """The haversine of the angle between two positions in degrees on a sphere: sin(angle / 2) squared, which grows with it."""
    lat1, lat2 = math.radians(lat1_deg), math.radians(lat2_deg)
    north, east = math.sin((lat2 - lat1) / 2), math.sin(math.radians(lon2_deg - lon1_deg) / 2)
    return north * north + math.cos(lat1) * math.cos(lat2) * east * east


def _reference_km(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    from geographiclib.geodesic import Geodesic  # what geopy calls; late, because only nearly antipodal pairs need it

    return float(Geodesic.WGS84.Inverse(lat1_deg, lon1_deg, lat2_deg, lon2_deg, Geodesic.DISTANCE)["s12"]) / 1000.0


def distance_km(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    """Geodesic distance in km between two positions in degrees.

    Raises:
        ValueError: a coordinate is out of range or not a number.
    """
    if not (valid_position(lat1_deg, lon1_deg) and valid_position(lat2_deg, lon2_deg)):
        raise ValueError(f"position out of range: ({lat1_deg}, {lon1_deg}) or ({lat2_deg}, {lon2_deg})")
    if lat1_deg == lat2_deg and lon1_deg == lon2_deg:
        return 0.0
    u1 = math.atan((1 - _F) * math.tan(math.radians(lat1_deg)))
    u2 = math.atan((1 - _F) * math.tan(math.radians(lat2_deg)))
    sin_u1, cos_u1, sin_u2, cos_u2 = math.sin(u1), math.cos(u1), math.sin(u2), math.cos(u2)
    difference = math.radians(math.remainder(lon2_deg - lon1_deg, 360.0))
    lam = difference
    for _ in range(_MAX_ROUNDS):
        sin_lam, cos_lam = math.sin(lam), math.cos(lam)
        x, y = cos_u2 * sin_lam, cos_u1 * sin_u2 - sin_u1 * cos_u2 * cos_lam
        sin_sigma = math.sqrt(x * x + y * y)
        if sin_sigma == 0.0:  # the same point, written differently (a pole, or 180 and -180 degrees)
            return (
                0.0 if sin_u1 * sin_u2 + cos_u1 * cos_u2 * cos_lam > 0 else _reference_km(lat1_deg, lon1_deg, lat2_deg, lon2_deg)
            )
        cos_sigma = sin_u1 * sin_u2 + cos_u1 * cos_u2 * cos_lam
        sigma = math.atan2(sin_sigma, cos_sigma)
        sin_alpha = cos_u1 * cos_u2 * sin_lam / sin_sigma
        cos2_alpha = 1 - sin_alpha * sin_alpha
        cos_2m = cos_sigma - 2 * sin_u1 * sin_u2 / cos2_alpha if cos2_alpha > 1e-15 else 0.0
        c = _F / 16 * cos2_alpha * (4 + _F * (4 - 3 * cos2_alpha))
        before = lam
        lam = difference + (1 - c) * _F * sin_alpha * (
            sigma + c * sin_sigma * (cos_2m + c * cos_sigma * (2 * cos_2m * cos_2m - 1))
        )
        if abs(lam - before) < _TOLERANCE:
            break
    else:
        return _reference_km(lat1_deg, lon1_deg, lat2_deg, lon2_deg)
    if abs(lam) > math.pi:
        return _reference_km(lat1_deg, lon1_deg, lat2_deg, lon2_deg)
    u_sq = cos2_alpha * _EP2
    big_a = 1 + u_sq / 16384 * (4096 + u_sq * (-768 + u_sq * (320 - 175 * u_sq)))
    big_b = u_sq / 1024 * (256 + u_sq * (-128 + u_sq * (74 - 47 * u_sq)))
    delta = (
        big_b
        * sin_sigma
        * (
            cos_2m
            + big_b
            / 4
            * (
                cos_sigma * (2 * cos_2m * cos_2m - 1)
                - big_b / 6 * cos_2m * (4 * sin_sigma * sin_sigma - 3) * (4 * cos_2m * cos_2m - 3)
            )
        )
    )
    return _B_M * big_a * (sigma - delta) / 1000.0


def distances_km(lat1_deg: ArrayLike, lon1_deg: ArrayLike, lat2_deg: ArrayLike, lon2_deg: ArrayLike) -> np.ndarray:
    """Geodesic distances in km between pairs of positions in degrees; arrays that broadcast to one shape.

    A pair with NaN in it gives NaN (a prediction without a place).

    Raises:
        ValueError: a coordinate is out of range.
    """
    import numpy as np  # late: the scalar functions must not cost its import

    raw = [np.asarray(a, dtype=np.float64) for a in (lat1_deg, lon1_deg, lat2_deg, lon2_deg)]
    lat1, lon1, lat2, lon2 = np.broadcast_arrays(*raw)
    shape = lat1.shape
    lat1, lon1, lat2, lon2 = (a.ravel() for a in (lat1, lon1, lat2, lon2))
    if np.any(np.abs(lat1) > 90) or np.any(np.abs(lat2) > 90) or np.any(np.abs(lon1) > 180) or np.any(np.abs(lon2) > 180):
        raise ValueError("a position is out of range: latitudes lie within +-90, longitudes within +-180 degrees")
    u1, u2 = (np.arctan((1 - _F) * np.tan(np.radians(a))) for a in (lat1, lat2))
    sin_u1, cos_u1, sin_u2, cos_u2 = np.sin(u1), np.cos(u1), np.sin(u2), np.cos(u2)
    turn = lon2 - lon1
    difference = np.radians(turn - 360.0 * np.round(turn / 360.0))
    lam = difference.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_MAX_ROUNDS):
            sin_lam, cos_lam = np.sin(lam), np.cos(lam)
            sin_sigma = np.hypot(cos_u2 * sin_lam, cos_u1 * sin_u2 - sin_u1 * cos_u2 * cos_lam)
            cos_sigma = sin_u1 * sin_u2 + cos_u1 * cos_u2 * cos_lam
            sigma = np.arctan2(sin_sigma, cos_sigma)
            sin_alpha = np.where(sin_sigma > 0, cos_u1 * cos_u2 * sin_lam / sin_sigma, 0.0)
            cos2_alpha = 1 - sin_alpha**2
            cos_2m = np.where(cos2_alpha > 1e-15, cos_sigma - 2 * sin_u1 * sin_u2 / cos2_alpha, 0.0)
            c = _F / 16 * cos2_alpha * (4 + _F * (4 - 3 * cos2_alpha))
            before = lam
            lam = difference + (1 - c) * _F * sin_alpha * (sigma + c * sin_sigma * (cos_2m + c * cos_sigma * (2 * cos_2m**2 - 1)))
            step = np.abs(lam - before)
            if not np.any(step >= _TOLERANCE):
                break
        u_sq = cos2_alpha * _EP2
        big_a = 1 + u_sq / 16384 * (4096 + u_sq * (-768 + u_sq * (320 - 175 * u_sq)))
        big_b = u_sq / 1024 * (256 + u_sq * (-128 + u_sq * (74 - 47 * u_sq)))
        delta = (
            big_b
            * sin_sigma
            * (
                cos_2m
                + big_b
                / 4
                * (cos_sigma * (2 * cos_2m**2 - 1) - big_b / 6 * cos_2m * (4 * sin_sigma**2 - 3) * (4 * cos_2m**2 - 3))
            )
        )
        km = _B_M * big_a * (sigma - delta) / 1000.0
        doubtful = (step >= _TOLERANCE) | (np.abs(lam) > np.pi) | ((sin_sigma < 1e-9) & (cos_sigma < 0))
    for i in np.flatnonzero(doubtful):
        km[i] = _reference_km(float(lat1[i]), float(lon1[i]), float(lat2[i]), float(lon2[i]))
    return km.reshape(shape)


def geoscore(distance: float | None) -> float:
    """GeoScore 5000·exp(-d/1492.7) for a distance in km (OSV-5M's, after GeoGuessr); 0 for None (no place)."""
    return 0.0 if distance is None else GEOSCORE_MAX * math.exp(-distance / GEOSCORE_SCALE_KM)
