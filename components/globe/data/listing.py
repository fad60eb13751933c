"""What decides which rows a source lists, and in which order: parts that are read at different times must be of one whole.

It is told when a source is cut, and again when a part has been read, by another process or on another machine. So it costs no
look at each picture: which bytes a picture has decides no more than its own row, and each row is read once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from globe.data.embedded import picture_column
from globe.data.named import Given
from globe.data.pictures import is_zip_on_s3
from globe.data.shards import dataset_digest
from globe.files import file_sha256
from globe.storage import state_of

Listing = dict[str, str]
"""By name: the digest of a table, the size and time of a file that holds pictures, the number and digest of a folder's names."""
DIGEST_CHARS = 16
GONE = "not there"


class Names:
    """The names of a source's photos while they pass, and what they all are.

    Args:
        names: All of them, in their order.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = iter(names)
        self._digest = hashlib.sha256()
        self.passed = 0

    def __iter__(self) -> Iterator[str]:
        for name in self._names:
            self._digest.update(name.encode("utf-8", "surrogatepass") + b"\0")
            self.passed += 1
            yield name

    def told(self) -> str:
        """Their number and digest; those that nobody has asked for are passed for it."""
        for _ in self:
            pass
        return f"{self.passed} names {self._digest.hexdigest()[:DIGEST_CHARS]}"


def listing_of(given: Given, names: Names | None = None) -> Listing:
    """What decides the rows that a source lists.

    Args:
        given: The source.
        names: Of its photos, if it is a folder without a table.

    Raises:
        InputError: It cannot be read.
    """
    if given.is_dataset:
        return {"dataset": dataset_digest(given.path)[:DIGEST_CHARS]}
    listing: Listing = {}
    for table in given.tables:
        listing[table.name] = _digest(given.content) if given.content is not None else _table(table)
    for place in dict.fromkeys(given.pictures):
        if is_zip_on_s3(place) or place.is_file():
            # In two places there may be archives of one name.
            listing[place.name] = " and ".join(filter(None, (listing.get(place.name), _state(place))))
    return listing or {"photos": names.told() if names else ""}


def _table(table: Path) -> str:
    try:
        # With pictures in it, it is too much to be read as a whole for each part.
        embedded = table.suffix.lower() == ".parquet" and picture_column(table)
        return _state(table) if embedded else f"sha256 {file_sha256(table)[:DIGEST_CHARS]}"
    except FileNotFoundError:
        return GONE


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What is not in two listings alike, in words; "" if they are the same."""
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    return "; ".join(f"{name}: {before.get(name, GONE)} before, {now.get(name, GONE)} now" for name in names)


def _digest(content: bytes) -> str:
    return f"sha256 {hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]}"


def _state(place: Path) -> str:
    size_bytes, mtime_ns = state_of(place)
    return f"{size_bytes} bytes of time {mtime_ns}"
