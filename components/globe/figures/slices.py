"""What pictures are divided by: continent, country, size of the city, localizability, scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from globe.console import one_line
from globe.geo.countries import find_country
from globe.geo.gazetteer import gazetteer
from globe.geo.verdict import Truth, true_place

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "unknown"
OTHER = "other"
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
LOCALIZABLE: dict[bool | None, str] = {True: "yes", False: "no"}
MOST_SCENES = 100
"""Scenes are whatever the data set says: the most frequent ones are told apart."""
MAX_SCENE_CHARS = 60


def slices(truths: Sequence[Truth], told: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, pd.Series]]:
    """Divide pictures into slices, by each thing that is known of them.

    Args:
        truths: Where each picture was taken.
        told: The truth as its record has it, with localizable and scene where these are known.

    Yields:
        What the pictures are divided by, and the name of each one's slice, as a category: continents and sizes in the order
        above, countries (by their English names) and scenes from the most pictures to the fewest, the unknown last.
        Localizability and scene are left out where the data set tells them of no picture.
    """
    import pandas as pd  # imported late, so that `globe --help` stays fast

    yield "continent", _ordered(pd.Series(list(map(continent_of, truths))), list(CONTINENTS.values()))
    yield "country", _by_frequency(pd.Series(list(map(_country, truths))))
    yield "city_size", _ordered(pd.Series(list(map(_city_size, truths))), list(CITY_SIZES))
    localizable = pd.Series([LOCALIZABLE.get(record.get("localizable"), UNKNOWN) for record in told])
    if (localizable != UNKNOWN).any():
        yield "localizable", _ordered(localizable, list(LOCALIZABLE.values()))
    scene = pd.Series([one_line(str(record.get("scene") or ""))[:MAX_SCENE_CHARS] or UNKNOWN for record in told])
    if (scene != UNKNOWN).any():
        frequent = scene[scene != UNKNOWN].value_counts().index[:MOST_SCENES]
        yield "scene", _by_frequency(scene.where(scene.isin([*frequent, UNKNOWN]), OTHER))


def _ordered(names: pd.Series, order: list[str]) -> pd.Series:
    import pandas as pd

    return names.astype(pd.CategoricalDtype([*order, UNKNOWN], ordered=True))


def _by_frequency(names: pd.Series) -> pd.Series:
    counts = names[names != UNKNOWN].value_counts()
    return _ordered(names, sorted(counts.index, key=lambda name: (-counts[name], name)))


def continent_of(truth: Truth) -> str:
    """The continent that a truth's country belongs to."""
    country = find_country(truth.country)
    return CONTINENTS.get(gazetteer().countries[country.code]["continent"], UNKNOWN) if country else UNKNOWN


def _country(truth: Truth) -> str:
    country = find_country(truth.country)
    return country.name if country else UNKNOWN


def _city_size(truth: Truth) -> str:
    place = true_place(truth) if truth.country else None
    if place is None or not place.is_city:
        return UNKNOWN
    return next(name for name, least in CITY_SIZES.items() if (place.population or 0) >= least)
