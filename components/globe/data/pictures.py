"""Pictures by name, wherever they lie: in a folder, a zip, a tar, or several of these. Nothing is unpacked to disk, and a zip on
S3 is not even fetched: its directory is read, and then what is begun, by several requests at once. Names are found in an index
that lies on disk.

Names come from tables and are untrusted: they are only compared, never joined to a path that leads out of the folder, and of a
picture no more than `MAX_BYTES` are ever unpacked, whatever an archive says of its size.
"""

from __future__ import annotations

import heapq
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from globe.data.ahead import Begun, Fetcher, Ranges
from globe.data.archives import DAMAGED, Readable, read_from_tar, read_zipped, span_of, tar_files, zip_files
from globe.data.images import MAX_BYTES
from globe.data.index import MISSING, File, Index, index_of, passing_index
from globe.errors import GlobeError, InputError
from globe.storage import RangeFile, address_of, is_mirrored, open_ranges, state_of, stored_at

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".hif"})
# Suffixes of pictures that are refused: listed so that a folder full of them is reported and not called empty.
REFUSED_SUFFIXES = frozenset({".gif", ".tif", ".tiff", ".svg", ".bmp", ".avif", ".dng", ".cr2", ".nef"})
ARCHIVE_SUFFIXES = frozenset({".zip", ".tar"})
COMPRESSED_SUFFIXES = frozenset({".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"})

OUTSIDE, BAD_NAME, UNREADABLE = "file_outside_source", "bad_file_name", "picture_not_readable"
TOO_LARGE, OTHER_KIND = "picture_of_too_many_pixels", "unsupported_picture_type"


class Pictures(ABC):
    """Files by name."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """All files, by their path within, with /, sorted."""

    @abstractmethod
    def begin(self, name: str) -> Begun | str:
        """A file that will be read soon, or the reason why there is none. Longer files are cut just above `MAX_BYTES`.

        Args:
            name: As a table has it: a path within, a path below a folder `images`, or the end of one path; ".jpg" may lack.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    def read(self, name: str) -> bytes | str:
        """A file's bytes, or the reason why there are none.

        Args:
            name: As for `begin`.
        """
        begun = self.begin(name)
        return begun if isinstance(begun, str) else begun.read()


def open_pictures(places: Sequence[Path]) -> Pictures:
    """Open folders and archives as one.

    Args:
        places: Folders, zips and tars; a picture is taken from the first that has it.

    Raises:
        InputError: One is neither, is damaged, or is a compressed tar.
    """
    fetcher = Fetcher()
    opened = [_opened(place, fetcher) for place in places]
    return opened[0] if len(opened) == 1 else _Several(opened)


def is_archive(path: Path) -> bool:
    """Whether a name is that of an archive, readable or not."""
    return path.suffix.lower() in ARCHIVE_SUFFIXES | COMPRESSED_SUFFIXES


def is_zip_on_s3(place: str | Path) -> bool:
    """Whether a place is a zip that is read where it lies; given by its address, or by the path that it would have here."""
    return str(place).lower().endswith(".zip") and (address_of(place) is not None or is_mirrored(Path(place)))


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture to read or to report, and not hidden."""
    path = PurePosixPath(name)
    hidden = any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in PICTURE_SUFFIXES | REFUSED_SUFFIXES


def _opened(place: Path, fetcher: Fetcher) -> Pictures:
    if place.is_dir():
        return _Folder(place)
    if not is_zip_on_s3(place):
        if not place.exists():
            raise InputError(f"{place}: no such folder, zip or tar of pictures")
        if place.suffix.lower() in COMPRESSED_SUFFIXES:
            raise InputError(
                f"{place}: a compressed tar can only be read from its beginning to its end, not picture by picture; "
                f"undo the compression once, as with: gunzip --keep {place.name}"
            )
    try:
        return _ZipOnS3(place, fetcher) if is_zip_on_s3(place) else _Archive(place)
    except DAMAGED as error:
        why = " ".join(str(error).split())[:80]
        raise InputError(f"{stored_at(place)}: is no folder, zip or tar of pictures, or a damaged one ({why})") from None


def _wanted(name: str) -> list[PurePosixPath] | str:
    """The paths that a table's name may stand for, best first, or the reason why it can be none."""
    if "\0" in name or len(name) > 1024:
        return BAD_NAME
    given = PurePosixPath(name)
    if not given.name:  # "."
        return BAD_NAME
    if given.is_absolute() or ".." in given.parts:
        return OUTSIDE
    forms = [given]
    if given.suffix.lower() not in PICTURE_SUFFIXES:  # MP-16's tables name pictures without a suffix
        forms.append(given.with_name(f"{given.name}.jpg"))
    return [path for form in forms for path in (form, PurePosixPath("images") / form)]


class _Folder(Pictures):
    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._listed: Index | None = None

    def names(self) -> Iterator[str]:
        return self._index().names()

    def _index(self) -> Index:
        """Listed once, and only where that is asked for, or where a table's names are not the paths themselves."""
        if self._listed is None:
            self._listed = passing_index(self._root, map(File, _below(self._root)))
        return self._listed

    def begin(self, name: str) -> Begun | str:
        wanted = _wanted(name)
        if isinstance(wanted, str):
            return wanted
        try:
            found = next((path for path in (self._root / one for one in wanted) if path.is_file()), None)
            if found is None:
                below = self._index().find(wanted)
                if isinstance(below, str):
                    return below
                found = self._root / below.name
            if not found.resolve().is_relative_to(self._root):
                return OUTSIDE  # a link leads out of the folder
            if not found.is_file():
                return UNREADABLE  # a pipe, at which reading would wait for ever
        except (OSError, ValueError, RuntimeError):
            return BAD_NAME  # too long, a circle of links
        return Begun(partial(self._content, found))

    def _content(self, found: Path) -> bytes | str:
        try:
            with found.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError:
            return UNREADABLE

    def close(self) -> None:
        if self._listed is not None:
            self._listed.close()
            self._listed = None


def _below(root: Path) -> Iterator[str]:
    """All below a folder that is no folder; a link to a folder is not followed."""
    folders = [root]
    while folders:
        folder = folders.pop()
        with suppress(PermissionError, FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(folder / entry.name)
                elif not Path(entry.path).is_dir():
                    yield (folder / entry.name).relative_to(root).as_posix()


class _Archive(Pictures):
    """A zip or a tar: its index, and its bytes from the first picture on that is asked for here."""

    def __init__(self, place: Path) -> None:
        self._place, self._state = place, state_of(place)
        self._file: BinaryIO | None = None
        zipped = self._is_zip()
        self._list, self._take = (zip_files, read_zipped) if zipped else (tar_files, read_from_tar)
        self._index = index_of(place, self._state, self._files)

    def _is_zip(self) -> bool:
        return zipfile.is_zipfile(self._place)

    def _open(self) -> BinaryIO:
        return self._place.open("rb")

    def _files(self) -> Iterator[File]:
        with self._open() as file:
            yield from self._list(file)

    def names(self) -> Iterator[str]:
        return self._index.names()

    def begin(self, name: str) -> Begun | str:
        wanted = _wanted(name)
        if isinstance(wanted, str):
            return wanted
        found = self._index.find(wanted)
        return found if isinstance(found, str) else self._begun(self._opened(), found)

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = self._open()
            if state_of(self._place) != self._state:
                raise GlobeError(f"{stored_at(self._place)}: changed while it was read; start again")
        return self._file

    def _begun(self, file: BinaryIO, found: File) -> Begun:
        return Begun(partial(self._content, file, found))

    def _content(self, file: Readable, found: File) -> bytes | str:
        try:
            return self._take(file, found)
        except DAMAGED:
            return UNREADABLE  # damaged, encrypted, or compressed in a way that is not known here

    def close(self) -> None:
        self._index.close()
        if self._file is not None:
            self._file.close()


class _ZipOnS3(_Archive):
    """A zip that is read where it lies; pictures that are begun are fetched before they are read."""

    def __init__(self, place: Path, fetcher: Fetcher) -> None:
        super().__init__(place)
        self._fetcher = fetcher
        self._ranges: Ranges | None = None

    def _is_zip(self) -> bool:
        return True

    def _open(self) -> BinaryIO:
        return cast(BinaryIO, open_ranges(self._place))

    def _begun(self, file: BinaryIO, found: File) -> Begun:
        if self._ranges is None:
            self._ranges = Ranges(cast(RangeFile, file).read_at, self._fetcher)
        part, more_bytes = self._ranges.begin(*span_of(found))
        return Begun(partial(self._content, part, found), more_bytes)

    def close(self) -> None:
        super().close()
        self._fetcher.close()


class _Several(Pictures):
    def __init__(self, parts: Sequence[Pictures]) -> None:
        self._parts = parts

    def names(self) -> Iterator[str]:
        return heapq.merge(*(part.names() for part in self._parts))

    def begin(self, name: str) -> Begun | str:
        for part in self._parts:
            found = part.begin(name)
            if found != MISSING:
                return found
        return MISSING

    def close(self) -> None:
        for part in self._parts:
            part.close()
