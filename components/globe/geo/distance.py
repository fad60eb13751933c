"""Kilometres on the WGS 84 ellipsoid (PROJ's geodesics, Karney's algorithm), and the scores that the field makes from them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike
    from pyproj import Geod

THRESHOLDS_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent; an answer counts within a threshold when its distance is ``<=``."""

COUNTRY_KM = 750
"""The nearest threshold at which an answer can count that is placed only by its country."""

EARTH_RADIUS_KM = 6371.0088
"""Mean radius: for areas, and for distances that may be off by half a percent."""

GEOSCORE_SCALE_KM = 1492.7
GEOSCORE_MAX = 5000.0


def valid_position(lat_deg: float, lon_deg: float) -> bool:
    """Whether both are finite, the latitude within +-90 and the longitude within +-180 degrees."""
    return -90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0  # NaN compares false


@lru_cache(maxsize=1)
def _earth() -> Geod:
    from pyproj import Geod  # late: its import takes longer than the gazetteer's, and most look-ups need no distance

    return Geod(ellps="WGS84")


def unit_vectors(lat_deg: ArrayLike, lon_deg: ArrayLike) -> np.ndarray:
    """Positions in degrees as vectors of length 1 from the Earth's centre, taken for a sphere; the last axis has three parts."""
    import numpy as np

    lat, lon = np.radians(lat_deg), np.radians(lon_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def distance_km(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    """Geodesic distance in km between two positions in degrees.

    Raises:
        ValueError: a coordinate is out of range or not a number.
    """
    if not (valid_position(lat1_deg, lon1_deg) and valid_position(lat2_deg, lon2_deg)):
        raise ValueError(f"position out of range: ({lat1_deg}, {lon1_deg}) or ({lat2_deg}, {lon2_deg})")
    return float(_earth().inv(lon1_deg, lat1_deg, lon2_deg, lat2_deg)[2]) / 1000.0


def distances_km(lat1_deg: ArrayLike, lon1_deg: ArrayLike, lat2_deg: ArrayLike, lon2_deg: ArrayLike) -> np.ndarray:
    """Geodesic distances in km between pairs of positions in degrees; arrays that broadcast to one shape.

    A pair with NaN in it gives NaN (a prediction without a place).

    Raises:
        ValueError: a coordinate is out of range.
    """
    import numpy as np  # late: the scalar functions must not cost its import

    raw = [np.asarray(a, dtype=np.float64) for a in (lat1_deg, lon1_deg, lat2_deg, lon2_deg)]
    lat1, lon1, lat2, lon2 = np.broadcast_arrays(*raw)
    if np.any(np.abs(lat1) > 90) or np.any(np.abs(lat2) > 90) or np.any(np.abs(lon1) > 180) or np.any(np.abs(lon2) > 180):
        raise ValueError("a position is out of range: latitudes lie within +-90, longitudes within +-180 degrees")
    # As lists, because pyproj takes an array with one value for a scalar, with a warning.
    lon1s, lat1s, lon2s, lat2s = (a.ravel().tolist() for a in (lon1, lat1, lon2, lat2))
    metres = _earth().inv(lon1s, lat1s, lon2s, lat2s)[2]
    return np.array(metres, dtype=np.float64).reshape(lat1.shape) / 1000.0


def counted_km(distance_km: float, level: str | None) -> float:
    """The distance in km at which an answer counts: its own, or at least `COUNTRY_KM` if its level is "country".

    A country's point says nothing about a city, but the largest city of 94 countries lies within 25 km of it, and that of 209
    within 200 km: "Thailand" would be right for Bangkok, and so would a city of Thailand that does not exist.
    """
    return max(distance_km, float(COUNTRY_KM)) if level == "country" else distance_km


def geoscore(distances_km: ArrayLike) -> np.ndarray:
    """GeoScore 5000·exp(-d/1492.7) of distances in km (OSV-5M's, after GeoGuessr); 0 for an infinite one (no place)."""
    import numpy as np

    return np.asarray(GEOSCORE_MAX * np.exp(-np.asarray(distances_km) / GEOSCORE_SCALE_KM))
