"""The leakage guard: which pictures may not be trained on, because a test set has the same picture or one too much like it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from globe.curation.guard.facts import SCHEMA, Facts, to_table
from globe.curation.guard.near_duplicates import NearDuplicates
from globe.curation.recipe import Splitting
from globe.data.pictures import PICTURE_SUFFIXES
from globe.geo.distance import EARTH_RADIUS_KM, distances_km, unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]
    """For each picture the position of a test picture among all; -1 if there is none."""

SAME_ID, SAME_PICTURE, NEAR_DUPLICATE = "same_id_as_test", "same_picture_as_test", "near_duplicate_of_test"
SAME_PHOTOGRAPHER, NEAR_POSITION = "same_photographer_as_test", "near_test_position"
_SPHERE_ERROR = 1.01
"""Distances on a sphere are off by up to 0.6%: what is near is looked for on one, within a percent more, and then measured."""


class Leak(NamedTuple):
    """What a picture would give away: why it may not be trained on, the test picture's id, and the test set that has it."""

    reason: str
    test_id: str
    test_set: str


class Guard:
    """Finds the pictures that would give a test picture away. Memory grows with the test sets alone.

    Args:
        rules: What counts.
        test_sets: The test pictures' facts as columns (`facts.SCHEMA`), by the set's name; a picture that gives
            away several test pictures is said to give away one of the first set that has one.
    """

    def __init__(self, rules: Splitting, test_sets: Mapping[str, pa.Table]) -> None:
        self._names = list(test_sets)
        self._set_of = np.repeat(np.arange(len(test_sets)), [table.num_rows for table in test_sets.values()])
        tests = pa.concat_tables([SCHEMA.empty_table(), *test_sets.values()])
        self._ids = tests["id"]
        self._rules: list[tuple[str, Callable[[pa.Table], Positions]]] = []
        if not tests.num_rows:
            return
        if rules.same_id:
            self._rules.append((SAME_ID, _SameKey(tests, _id_keys).find))
        self._rules.append((SAME_PICTURE, _SameKey(tests, _picture_keys).find))
        if rules.near_duplicate_bits is not None:
            self._rules.append((NEAR_DUPLICATE, _LooksTheSame(tests, rules.near_duplicate_bits).find))
        if rules.same_photographer_km is not None:
            self._rules.append((SAME_PHOTOGRAPHER, _SamePhotographer(tests, rules.same_photographer_km).find))
        if rules.near_test_km is not None:
            self._rules.append((NEAR_POSITION, _Nearby(tests, rules.near_test_km).find))

    def leaks(self, pictures: Sequence[Facts]) -> list[Leak | None]:
        """For each picture what it would give away, by the first rule that applies; None if it may be trained on."""
        found: list[Leak | None] = [None] * len(pictures)
        if not pictures or not self._rules:
            return found
        table, open_ones = to_table(pictures), np.arange(len(pictures))
        for reason, find in self._rules:
            positions = find(table.take(open_ones))
            for number in np.flatnonzero(positions >= 0):
                position = int(positions[number])
                test_set = self._names[self._set_of[position]]
                found[open_ones[number]] = Leak(reason, self._ids[position].as_py(), test_set)
            open_ones = open_ones[positions < 0]
        return found


class _SameKey:
    """Finds equal keys of 64 bits, which two of a million times a million different things share once in 20 million tries."""

    def __init__(self, tests: pa.Table, keys: Callable[[pa.Table], NDArray[np.uint64]]) -> None:
        self._keys_of = keys
        of_tests = keys(tests)
        self._order = np.argsort(of_tests, kind="stable")
        self._keys = of_tests[self._order]

    def find(self, pictures: pa.Table) -> Positions:
        keys = self._keys_of(pictures)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._order[places], -1)


class _LooksTheSame:
    """Finds near-duplicates. A picture without a hash has none."""

    def __init__(self, tests: pa.Table, bits: int) -> None:
        self._hashed, hashes = _hashes(tests)
        self._index = NearDuplicates(hashes, bits)

    def find(self, pictures: pa.Table) -> Positions:
        positions = np.full(pictures.num_rows, -1, np.int64)
        hashed, hashes = _hashes(pictures)
        nearest = self._index.nearest(hashes)
        positions[hashed[nearest >= 0]] = self._hashed[nearest[nearest >= 0]]
        return positions


class _SamePhotographer:
    """Finds the nearest test picture of the same photographer, within a distance."""

    def __init__(self, tests: pa.Table, km: float) -> None:
        self._km = km
        self._lat, self._lon = _positions(tests)
        named: dict[str, list[int]] = {}
        for number, name in enumerate(tests["photographer"].to_pylist()):
            if name:
                named.setdefault(name, []).append(number)
        self._by_name = {name: np.array(numbers) for name, numbers in named.items()}

    def find(self, pictures: pa.Table) -> Positions:
        positions = np.full(pictures.num_rows, -1, np.int64)
        lat, lon = _positions(pictures)
        for number, name in enumerate(pictures["photographer"].to_pylist()):
            if name and (theirs := self._by_name.get(name)) is not None:
                positions[number] = _nearest(lat[number], lon[number], self._lat, self._lon, theirs, self._km)
        return positions


class _Nearby:
    """Finds a test picture within a distance, by a tree of positions on a sphere."""

    def __init__(self, tests: pa.Table, km: float) -> None:
        from scipy.spatial import KDTree  # late: it takes half a second, and this rule is seldom wanted

        self._km = km
        self._lat, self._lon = _positions(tests)
        self._tree = KDTree(unit_vectors(self._lat, self._lon))
        self._chord = 2 * math.sin(min(_SPHERE_ERROR * km / EARTH_RADIUS_KM, math.pi) / 2)

    def find(self, pictures: pa.Table) -> Positions:
        lat, lon = _positions(pictures)
        points = unit_vectors(lat, lon)
        _, nearest = self._tree.query(points, distance_upper_bound=self._chord)
        positions = np.full(len(points), -1, np.int64)
        near = np.flatnonzero(nearest < self._tree.n)
        if len(near):
            there = nearest[near]
            measured = distances_km(lat[near], lon[near], self._lat[there], self._lon[there])
            positions[near] = np.where(measured <= self._km, there, -1)
            for number in near[measured > self._km]:  # at the very edge, another one may be nearer on the ellipsoid
                others = np.array(self._tree.query_ball_point(points[number], self._chord))
                positions[number] = _nearest(lat[number], lon[number], self._lat, self._lon, others, self._km)
        return positions


def _nearest(lat_deg: float, lon_deg: float, lats_deg: NDArray, lons_deg: NDArray, among: NDArray, km: float) -> int:
    """The nearest of some positions, or -1 if it is farther than a distance."""
    measured = distances_km(lat_deg, lon_deg, lats_deg[among], lons_deg[among])
    best = int(np.argmin(measured))
    return int(among[best]) if measured[best] <= km else -1


def _positions(pictures: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return pictures["lat_deg"].to_numpy(), pictures["lon_deg"].to_numpy()


def _hashes(pictures: pa.Table) -> tuple[Positions, NDArray[np.uint64]]:
    """Which pictures have a perceptual hash, and the hashes."""
    column = pictures["phash"]
    return np.flatnonzero(column.is_valid().to_numpy()), column.drop_null().to_numpy()


def _picture_keys(pictures: pa.Table) -> NDArray[np.uint64]:
    return _first_bytes(pictures["sha256"].to_pylist())


def _id_keys(pictures: pa.Table) -> NDArray[np.uint64]:
    return _first_bytes(hashlib.sha256(_bare(row_id).encode()).digest() for row_id in pictures["id"].to_pylist())


def _bare(row_id: str) -> str:
    """An id without what data sets of the same photos don't agree on: a picture's suffix, and / or _ between folders."""
    path = PurePosixPath(row_id)
    name = row_id[: -len(path.suffix)] if path.suffix.lower() in PICTURE_SUFFIXES else row_id
    return name.replace("/", "_")


def _first_bytes(digests: Iterable[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(digest[:8] for digest in digests), np.uint64)
