"""Whether a position lies in the country that is named with it, judged by the places of the gazetteer, which has no borders.

A position is outside when the nearest place of the named country is more than twice as far as the nearest place of any other, and
`BORDER_KM` on top: so a position beside a border passes on either side of it, and one in empty land or at sea, where places are
far on all sides, is not judged by a few kilometres. Of uniformly random land positions (Natural Earth's 1:110m countries, deserts
included) 0.3% are wrongly called outside, and 95% of the same positions with lat and lon swapped are found. A state and its
territories are one here: a table may file Réunion under France.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from globe.errors import InputError
from globe.geo.aliases import SOVEREIGN
from globe.geo.countries import find_country
from globe.geo.distance import EARTH_RADIUS_KM, unit_vectors, valid_position
from globe.geo.gazetteer import gazetteer
from globe.geo.nearest import nearest_city

if TYPE_CHECKING:
    import numpy as np

BORDER_KM = 50.0
"""A border's width: positions are rounded, and the places beside a border may all lie on one side."""
WRONG_SHARE = 0.1
"""A table with more positions outside their countries than this is wrong as a whole, such as one with lat and lon swapped."""
JUDGED_ROWS = 2000
"""So many rows, evenly spread, show whether a table is wrong as a whole; judging one takes about a millisecond."""


class Placed(NamedTuple):
    """A row's position and the country that it names."""

    where: str
    lat_deg: float
    lon_deg: float
    country: str


def is_outside(lat_deg: float, lon_deg: float, country: str) -> bool:
    """Whether a position lies outside a country by more than a border's width; never for a country that is not known.

    Args:
        lat_deg: Latitude in degrees.
        lon_deg: Longitude in degrees.
        country: The country's name in any common spelling, or its ISO code.

    Raises:
        ValueError: The position is out of range.
    """
    land = find_country(country)
    if land is None or not _is_of(land.code).any():  # the gazetteer has no place of Antarctica
        return False
    near = nearest_city(lat_deg, lon_deg)
    if near.country_code is not None and _state(near.country_code) == _state(land.code):
        return False  # spares most positions the distance to every place
    own = _is_of(land.code)
    cosines = _places()[0] @ unit_vectors(lat_deg, lon_deg)
    return _km(cosines[own].max()) > 2 * _km(cosines[~own].max()) + BORDER_KM


def misplaced(lat_deg: float, lon_deg: float, country: str) -> str:
    """What is wrong with a position that lies outside the country named with it; "" if nothing is.

    Args:
        lat_deg: Latitude in degrees.
        lon_deg: Longitude in degrees.
        country: The country's name or ISO code; "" if none is named.

    Returns:
        Such as "lat 2.35, lon 48.86 is not in France, but is with lat and lon swapped; swap them".
    """
    if not country or not is_outside(lat_deg, lon_deg, country):
        return ""
    said = f"lat {lat_deg:g}, lon {lon_deg:g} is not in {country}"
    if valid_position(lon_deg, lat_deg) and not is_outside(lon_deg, lat_deg, country):
        return f"{said}, but is with lat and lon swapped; swap them"
    return f"{said}; correct the position or the country"


def spread(rows: Iterable[Placed]) -> list[Placed]:
    """At most `JUDGED_ROWS` of a stream's rows, evenly spread over it; no more than these are ever in memory."""
    chosen: list[Placed] = []
    step = 1
    for number, row in enumerate(rows):
        if number % step:
            continue
        if len(chosen) == JUDGED_ROWS:
            chosen, step = chosen[::2], 2 * step
            if number % step:
                continue
        chosen.append(row)
    return chosen


def check_positions(table: str, rows: Iterable[Placed]) -> None:
    """Refuse a table whose positions do not lie in the countries that its rows name.

    Args:
        table: Name of the table, for the message.
        rows: Its rows that have a valid position and name a country, read once. Of many, `spread` picks those that are judged.

    Raises:
        InputError: A tenth of them, and at least two, are outside; names the first, and says whether lat and lon are swapped.
    """
    judged = spread(rows)
    outside = [row for row in judged if is_outside(row.lat_deg, row.lon_deg, row.country)]
    if len(outside) >= max(2.0, WRONG_SHARE * len(judged)):
        first = outside[0]
        share = f"{len(outside)} of {len(judged)} positions are not in the country that their row names"
        raise InputError(f"{table}: {share}; {first.where}: {misplaced(first.lat_deg, first.lon_deg, first.country)}")


def _state(code: str) -> str:
    return SOVEREIGN.get(code, code)


@lru_cache(maxsize=1)
def _places() -> tuple[np.ndarray, np.ndarray]:
    """All places as unit vectors from the Earth's centre (n x 3), and the state of each as an ISO code."""
    import numpy as np  # late: most of `geo` needs no arrays

    gaz = gazetteer()
    lat_e5, lon_e5, _ = gaz.coordinates()
    vectors = unit_vectors(np.array(lat_e5) / 1e5, np.array(lon_e5) / 1e5)
    numbers, names = gaz.countries_of_places()
    return vectors, np.array([_state(name) for name in names])[np.array(numbers)]


@lru_cache(maxsize=300)
def _is_of(code: str) -> np.ndarray:
    """Which places belong to a country's state."""
    mask: np.ndarray = _places()[1] == _state(code)
    return mask


def _km(cosine: float) -> float:
    """Great-circle distance of two unit vectors with this product: a sphere will do beside a border's width."""
    return EARTH_RADIUS_KM * math.acos(max(-1.0, min(1.0, float(cosine))))
