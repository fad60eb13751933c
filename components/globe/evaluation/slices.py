"""Figures by the truth's continent and by the size of its city."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from globe.geo.countries import find_country
from globe.geo.gazetteer import gazetteer
from globe.geo.verdict import Truth, true_place

if TYPE_CHECKING:
    import numpy as np

UNKNOWN = "unknown"
CONTINENTS = {
    "AF": "Africa", "AN": "Antarctica", "AS": "Asia", "EU": "Europe", "NA": "North America", "OC": "Oceania",
    "SA": "South America",
}  # fmt: skip
CITY_SIZES = {
    "1 million and more": 1_000_000,
    "100,000 to 1 million": 100_000,
    "10,000 to 100,000": 10_000,
    "less than 10,000": 0,
}
"""Least population of each size, largest first."""


def slices(truths: Sequence[Truth], figures: Callable[[np.ndarray], dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by slice.

    Args:
        truths: Where each picture was taken.
        figures: Computes the figures of some of them, given their indices in `truths`.

    Returns:
        The figures by kind of slice and name of the slice, in the order above, without empty slices.
    """
    import pandas as pd  # imported late, so that `globe --help` stays fast

    table = pd.DataFrame({"continent": map(_continent, truths), "city_size": map(_city_size, truths)})
    order = {"continent": [*CONTINENTS.values(), UNKNOWN], "city_size": [*CITY_SIZES, UNKNOWN]}
    rows = {title: table.groupby(title).indices for title in order}
    return {title: {name: figures(rows[title][name]) for name in names if name in rows[title]} for title, names in order.items()}


def _continent(truth: Truth) -> str:
    country = find_country(truth.country)
    return CONTINENTS.get(gazetteer().countries[country.code]["continent"], UNKNOWN) if country else UNKNOWN


def _city_size(truth: Truth) -> str:
    place = true_place(truth) if truth.country else None
    if place is None or not place.is_city:
        return UNKNOWN
    return next(name for name, least in CITY_SIZES.items() if (place.population or 0) >= least)
