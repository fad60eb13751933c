"""Which files a folder or an archive holds, on disk: memory does not grow with them, and a large archive is listed only once.

The index of a large archive is kept in the cache folder (`$GLOBE_CACHE_DIR`) for whoever opens that archive later: the next parts
of a source, and where pods share that folder, all of them. Any other goes with the process.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from globe.data.scratch import scratch_database
from globe.errors import GlobeError
from globe.geo.layout import cache_folder

KEPT_FROM = 10_000
"""Files from which on an index is kept: fewer are listed again in a moment."""
MISSING, SEVERAL = "file_missing", "several_files_of_that_name"
FOLDER = "indexes"
FORMAT = 1
"""Raise when a kept index would be read differently."""
_BUILD_CACHE_KIB, _READ_CACHE_KIB = 2 * 1024, 1024
"""What SQLite keeps in memory; more makes no index sooner, and of those that are read there is one for each archive."""
_STALE_S = 24 * 3600
_LARGEST = 2**63 - 1

State = tuple[int, int]
"""Size and modification time of an archive, as `globe.storage.state_of` tells them."""


class File(NamedTuple):
    """One file, and where its bytes lie in an archive; numbers that an archive of its kind does not have are 0."""

    name: str
    at: int = 0
    size: int = 0
    packed: int = 0
    crc: int = 0
    method: int = 0
    flags: int = 0


class Index:
    """The files of one place. Of several with the same path, the last is found, and `names` tells each.

    Args:
        place: What is indexed, for messages.
        path: The index, as `_write` left it.
        kept: Whether the file stays; else its name goes at once, and the rest with the process.
    """

    def __init__(self, place: object, path: Path, kept: bool) -> None:
        self._place = place
        # Nobody writes to it any more. Only one thread uses an index at a time, but not always the one that opened it.
        self._rows = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False)
        self._rows.execute(f"PRAGMA cache_size = -{_READ_CACHE_KIB}")
        self._rows.execute("SELECT * FROM about").fetchone()  # now the file is open
        if not kept:
            path.unlink()

    def find(self, wanted: Iterable[PurePosixPath]) -> File | str:
        """The file that has one of some paths, best first, or whose path alone ends with one of them.

        Returns:
            The file, or the reason why there is none: `MISSING` or `SEVERAL`.
        """
        keys = [_key(str(path)) for path in wanted]
        for key in keys:
            if found := self._last(key):
                return found
        for key in keys:
            after = key[:-1] + b"0"  # the character that follows /
            ends = self._ask("SELECT DISTINCT key FROM files WHERE key > ? AND key < ? LIMIT 2", key, after)
            if len(ends) > 1:
                return SEVERAL
            if ends and (found := self._last(ends[0][0])):
                return found
        return MISSING

    def names(self) -> Iterator[str]:
        """All names, sorted."""
        with self._asking():
            for (name,) in self._rows.execute("SELECT name FROM files ORDER BY name"):
                yield _text(name)

    def close(self) -> None:
        """Ask no more."""
        self._rows.close()

    def _last(self, key: bytes) -> File | None:
        columns = ", ".join(File._fields)
        for name, *numbers in self._ask(f"SELECT {columns} FROM files WHERE key = ? ORDER BY number DESC LIMIT 1", key):
            return File(_text(name), *numbers)
        return None

    def _ask(self, query: str, *values: bytes) -> list[Any]:
        with self._asking():
            return self._rows.execute(query, values).fetchall()

    def _asking(self) -> AbstractContextManager[None]:
        return _failing(f"the index of {self._place} cannot be read; delete {cache_folder() / FOLDER} and start again")


def index_of(place: Path, state: State, files: Callable[[], Iterable[File]]) -> Index:
    """The index of an archive: one that was kept, if the archive is still the same, or a new one.

    Args:
        place: The archive.
        state: What tells its versions apart.
        files: Lists it; called only where that is needed.

    Raises:
        GlobeError: There is no room for it.
    """
    about = (FORMAT, *state)
    path = cache_folder() / FOLDER / f"{blake2b(os.fsencode(place.resolve()), digest_size=16).hexdigest()}.sqlite"
    if _is_kept(path, about):
        return Index(place, path, kept=True)
    with _new_file(path) as new:
        count = _write(place, new, about, files())
        if count < KEPT_FROM or new.parent != path.parent:
            return Index(place, new, kept=False)
        new.chmod(0o644)  # of pods that share the folder, each may have a user of its own
        os.replace(new, path)
    return Index(place, path, kept=True)


def passing_index(place: Path, files: Iterable[File]) -> Index:
    """An index of a place that may change at any time, such as a folder: it goes with the process.

    Raises:
        GlobeError: There is no room for it.
    """
    with _new_file(cache_folder() / FOLDER / "passing.sqlite") as new:
        _write(place, new, (FORMAT, 0, 0), files)
        return Index(place, new, kept=False)


def _key(path: str) -> bytes:
    """A path from its end to its beginning: those that end with "a/b.jpg" stand together, behind "b.jpg/a/"."""
    return _bytes("/".join(reversed(path.split("/"))) + "/")


def _bytes(text: str) -> bytes:
    """Names need not be Unicode; in these bytes they are sorted as Python sorts them."""
    return text.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _is_kept(path: Path, about: tuple[int, ...]) -> bool:
    """Whether a whole index lies there, of this version of its archive."""
    if not path.is_file():
        return False
    try:
        rows = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
        try:
            (pages,), (page_bytes,) = (rows.execute(f"PRAGMA {one}").fetchone() for one in ("page_count", "page_size"))
            found = rows.execute("SELECT format, size, mtime_ns FROM about").fetchone()
        finally:
            rows.close()
    except sqlite3.Error:
        return False
    return found == about and pages * page_bytes == path.stat().st_size


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """A file for a new index, beside its place where that can be written; what is left of it at the end is removed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob("*.part"):  # of processes that were killed
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > _STALE_S:
                    old.unlink()
        handle, name = tempfile.mkstemp(".part", target.stem, target.parent)
    except OSError:
        handle, name = tempfile.mkstemp(".part", target.stem)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _write(place: Path, path: Path, about: tuple[int, ...], files: Iterable[File]) -> int:
    """Write an index, and return how many files it has."""
    with _failing(f"no index of {place} can be written to {path.parent}; make room there, or set GLOBE_CACHE_DIR"):
        rows = scratch_database(path, _BUILD_CACHE_KIB)
        try:
            rows.execute("CREATE TABLE about (format INTEGER, size INTEGER, mtime_ns INTEGER)")
            rows.execute("INSERT INTO about VALUES (?, ?, ?)", about)
            numbers = ", ".join(f"{name} INTEGER" for name in File._fields[1:])
            rows.execute(f"CREATE TABLE files (number INTEGER PRIMARY KEY, name BLOB, {numbers}, key BLOB)")
            rows.execute("BEGIN")
            marks = ", ".join("?" * (len(File._fields) + 1))
            insert = f"INSERT INTO files ({', '.join(File._fields)}, key) VALUES ({marks})"
            rows.executemany(insert, map(_row, files))
            rows.execute("CREATE INDEX by_key ON files (key)")
            rows.execute("CREATE INDEX by_name ON files (name)")
            (count,) = rows.execute("SELECT count(*) FROM files").fetchone()
            rows.execute("COMMIT")
        finally:
            rows.close()
    return int(count)


def _row(file: File) -> tuple[bytes | int, ...]:
    # A number beyond SQLite's is a lie, and no byte lies there.
    numbers = (max(-_LARGEST, min(number, _LARGEST)) for number in file[1:])
    return _bytes(file.name), *numbers, _key(str(PurePosixPath(file.name)))


@contextmanager
def _failing(message: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise GlobeError(f"{message} ({error})") from None
