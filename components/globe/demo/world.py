"""The toy world as a source dataset: pictures of real cities with known cues, and world.json, which knows the truth.

Everything is a pure function of the parameters, the seed among them: the same call writes the same bytes. world.json is for
the simulated teachers and for measuring curation; no stage that learns reads it.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.data.rows import Row
from globe.data.shards import MANIFEST_NAME, write_dataset
from globe.demo.draw import draw_scene, draw_unlocatable, to_png
from globe.demo.places import HAZES, City, all_cities
from globe.demo.truth import WORLD_NAME, ErrorRates, Truth, WorldFile, pixel_hash
from globe.errors import InputError
from globe.files import write_json


def write_world(
    folder: Path,
    pictures: int = 2100,
    test_share: float = 0.15,
    unlocatable_share: float = 0.06,
    dusk_share: float = 0.35,
    noise: float = 8.0,
    size_px: int = 56,
    seed: int = 0,
    rates: ErrorRates | None = None,
) -> dict[str, Any]:
    """Write a source dataset and world.json.

    Cities, scenes at dusk and kinds of unlocatable pictures are spread over both splits as evenly as the numbers allow.

    Args:
        folder: Made if absent; an earlier world in it is replaced.
        pictures: How many in all.
        test_share: Share of held-out pictures, the same of localizable and unlocatable ones.
        unlocatable_share: Share of pictures that nobody could locate. They have a position all the same, as photos do.
        dusk_share: Share of the localizable pictures that are drawn at dusk, where the simulated teachers have a blind spot.
        noise: Spread of colours and pixels in levels of 255; see `globe.demo.draw`.
        size_px: Width and height of a picture.
        seed: Of everything.
        rates: How often the simulated teachers err.

    Returns:
        pictures, train, test, unlocatable, dusk, cities, countries.

    Raises:
        InputError: No world can be made with one of the numbers.
    """
    _check(pictures, test_share, unlocatable_share, dusk_share, size_px)
    plan = _plan(pictures, test_share, unlocatable_share, dusk_share, seed)
    truth: dict[str, Truth] = {}

    def rows() -> Iterator[Row]:
        for shot in plan:
            place, scene = shot.city, f"{seed} {shot.id}"
            if shot.haze:
                picture = draw_unlocatable(shot.haze, scene, size_px, noise)
            else:
                picture = draw_scene(place, scene, size_px, noise, dusk=shot.dusk)
            truth[shot.id] = Truth(
                localizable=not shot.haze,
                country=place.country,
                city=place.name,
                lat_deg=place.lat_deg,
                lon_deg=place.lon_deg,
                fame_rank=place.fame_rank,
                cues=[shot.haze] if shot.haze else list(place.cues),
                pixels=pixel_hash(picture),
                dusk=shot.dusk,
            )
            yield Row(
                id=shot.id,
                image=to_png(picture),
                lat_deg=place.lat_deg,
                lon_deg=place.lon_deg,
                country=place.country,
                city=place.name,
                split="test" if shot.test else "train",
                provenance={"image": "globe.demo", "place": "geonames"},
            )

    # A folder is a dataset when it has a manifest. It is removed first and written last, so a killed writer leaves no dataset;
    # world.json, which needs every row, is written when all rows are drawn.
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)

    def rows_then_truth() -> Iterator[Row]:
        yield from rows()
        file = WorldFile(
            seed=seed,
            pictures=pictures,
            test_share=test_share,
            unlocatable_share=unlocatable_share,
            dusk_share=dusk_share,
            noise=noise,
            size_px=size_px,
            rates=rates or ErrorRates(),
            truth=truth,
        )
        write_json(folder / WORLD_NAME, file.model_dump(mode="json"))

    manifest = write_dataset(folder, rows_then_truth())
    cities = {shot.city.geonames_id: shot.city.country_code for shot in plan}
    return {
        "pictures": manifest.rows,
        **manifest.splits,
        "unlocatable": sum(bool(shot.haze) for shot in plan),
        "dusk": sum(shot.dusk for shot in plan),
        "cities": len(cities),
        "countries": len(set(cities.values())),
    }


@dataclass(frozen=True)
class _Shot:
    """What one picture is to show; `haze` is empty for a localizable one."""

    id: str
    city: City
    haze: str
    test: bool
    dusk: bool


def _plan(pictures: int, test_share: float, unlocatable_share: float, dusk_share: float, seed: int) -> list[_Shot]:
    rng = random.Random(f"world {seed}")
    unlocatable = round(pictures * unlocatable_share)
    shots: list[tuple[City, str, bool, bool]] = []
    for count, hazy in ((pictures - unlocatable, False), (unlocatable, True)):
        held_out = round(count * test_share)
        # Each group has its own order of cities, so that where the numbers are uneven the extra pictures go to different ones.
        cities = list(all_cities())
        rng.shuffle(cities)
        for number in range(count):
            haze = HAZES[number % len(HAZES)] if hazy else ""
            lap, place = divmod(number, len(cities))
            # Each city's scenes go from day to dusk at even distances, and the cities don't do so all in the same lap.
            phase = place / len(cities)
            dusk = not hazy and math.floor((lap + 1) * dusk_share + phase) > math.floor(lap * dusk_share + phase)
            shots.append((cities[place], haze, number < held_out, dusk))
    rng.shuffle(shots)
    return [_Shot(f"toy-{number:05d}", *shot) for number, shot in enumerate(shots)]


def _check(pictures: int, test_share: float, unlocatable_share: float, dusk_share: float, size_px: int) -> None:
    if pictures < 1:
        raise InputError(f"pictures={pictures}: a world has at least one picture")
    shares = {"test_share": test_share, "unlocatable_share": unlocatable_share, "dusk_share": dusk_share}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"{name}={share}: a share lies between 0 and 1")
    if not 28 <= size_px <= 1024:
        raise InputError(f"size_px={size_px}: pictures have 28 to 1024 pixels a side")
