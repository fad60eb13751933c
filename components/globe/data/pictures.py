"""Pictures by name, wherever they lie: in a folder, a zip, a tar, or several of these. Nothing is unpacked to disk.

Names come from tables and are untrusted: they are only compared, never joined to a path that leads out of the folder, and of a
picture no more than `MAX_BYTES` are ever unpacked, whatever an archive says of its size.
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from globe.data.images import MAX_BYTES
from globe.errors import InputError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"})
# Suffixes of pictures that are refused: listed so that a folder full of them is reported and not called empty.
REFUSED_SUFFIXES = frozenset({".gif", ".tif", ".tiff", ".svg", ".bmp", ".heic", ".heif", ".avif", ".dng", ".cr2", ".nef"})
ARCHIVE_SUFFIXES = frozenset({".zip", ".tar"})
COMPRESSED_SUFFIXES = frozenset({".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"})

MISSING, OUTSIDE, BAD_NAME, UNREADABLE = "file_missing", "file_outside_source", "bad_file_name", "picture_not_readable"
SEVERAL, TOO_LARGE = "several_files_of_that_name", "picture_of_too_many_pixels"
# Everything that zipfile and tarfile raise on damaged, encrypted or unknown content. NotImplementedError is a RuntimeError.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError)
_DAMAGED += (OverflowError, IndexError, KeyError, MemoryError)  # type: ignore[assignment]


class Pictures(Protocol):
    """Files by name."""

    def names(self) -> Iterable[str]:
        """All files, by their path within, with /."""

    def read(self, name: str) -> bytes | str:
        """A file's bytes, or the reason why there are none. Longer files are cut just above `MAX_BYTES`.

        Args:
            name: As a table has it: a path within, a path below a folder `images`, or the end of one path; ".jpg" may lack.
        """

    def close(self) -> None:
        """Close what is open."""


def open_pictures(places: Sequence[Path]) -> Pictures:
    """Open folders and archives as one.

    Args:
        places: Folders, zips and tars; a picture is taken from the first that has it.

    Raises:
        InputError: One is neither, is damaged, or is a compressed tar.
    """
    opened = [_opened(place) for place in places]
    return opened[0] if len(opened) == 1 else _Several(opened)


def is_archive(path: Path) -> bool:
    """Whether a name is that of an archive, readable or not."""
    return path.suffix.lower() in ARCHIVE_SUFFIXES | COMPRESSED_SUFFIXES


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture to read or to report, and not hidden."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in PICTURE_SUFFIXES | REFUSED_SUFFIXES


def _opened(place: Path) -> Pictures:
    if place.is_dir():
        return _Folder(place)
    if not place.exists():
        raise InputError(f"{place}: no such folder, zip or tar of pictures")
    if place.suffix.lower() in COMPRESSED_SUFFIXES:
        raise InputError(
            f"{place}: a compressed tar can only be read from its beginning to its end, not picture by picture; "
            f"undo the compression once, as with: gunzip --keep {place.name}"
        )
    try:
        return _Zip(place) if zipfile.is_zipfile(place) else _Tar(place)
    except _DAMAGED as error:
        why = " ".join(str(error).split())[:80]
        raise InputError(f"{place}: is no folder, zip or tar of pictures, or a damaged one ({why})") from None


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


class _Index:
    """Finds a file among many by its whole path, or by the end of it where that is the end of one file's only."""

    def __init__(self, names: Iterable[str]) -> None:
        self._whole = {str(PurePosixPath(name)): name for name in names}
        self._by_last: dict[str, list[str]] = {}
        for path in self._whole:
            self._by_last.setdefault(path.rpartition("/")[2], []).append(path)

    def find(self, wanted: Iterable[PurePosixPath]) -> tuple[str, str]:
        """A file's name and "", or "" and the reason why there is none."""
        paths = [str(path) for path in wanted]
        whole = next((path for path in paths if path in self._whole), None)
        if whole is not None:
            return self._whole[whole], ""
        for path in paths:
            ends = [one for one in self._by_last.get(path.rpartition("/")[2], ()) if one.endswith(f"/{path}")]
            if len(ends) == 1:
                return self._whole[ends[0]], ""
            if ends:
                return "", SEVERAL
        return "", MISSING


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._index: _Index | None = None

    def names(self) -> list[str]:
        paths = (path for path in self._root.rglob("*") if not path.is_dir())
        return sorted(path.relative_to(self._root).as_posix() for path in paths)

    def read(self, name: str) -> bytes | str:
        wanted = _wanted(name)
        if isinstance(wanted, str):
            return wanted
        try:
            found = next((path for path in (self._root / one for one in wanted) if path.is_file()), None)
            if found is None:
                # Listed once, and only where a table's names are not the paths themselves.
                self._index = self._index or _Index(self.names())
                below, reason = self._index.find(wanted)
                if reason:
                    return reason
                found = self._root / below
            if not found.resolve().is_relative_to(self._root):
                return OUTSIDE  # a link leads out of the folder
            if not found.is_file():
                return UNREADABLE  # a pipe, at which reading would wait for ever
        except (OSError, ValueError, RuntimeError):
            return BAD_NAME  # too long, a circle of links
        try:
            with found.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError:
            return UNREADABLE

    def close(self) -> None:
        pass


class _Archive:
    """What zips and tars have in common: an index of names, and a way to read one file."""

    def __init__(self, names: Iterable[str], read: Callable[[str], bytes]) -> None:
        self._names = list(names)
        self._index = _Index(self._names)
        self._read = read

    def names(self) -> list[str]:
        return sorted(self._names)

    def read(self, name: str) -> bytes | str:
        wanted = _wanted(name)
        if isinstance(wanted, str):
            return wanted
        found, reason = self._index.find(wanted)
        try:
            return reason or self._read(found)
        except _DAMAGED:
            return UNREADABLE  # damaged, encrypted, or compressed in a way that is not known here


class _Zip(_Archive):
    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)
        super().__init__([one.filename for one in self._file.infolist() if not one.is_dir()], self._unpacked)

    def _unpacked(self, name: str) -> bytes:
        if self._file.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Of bzip2 and LZMA, zipfile unpacks whole blocks, however little is asked for: a kilobyte becomes a gigabyte.
            raise zipfile.BadZipFile("neither stored nor deflated")
        with self._file.open(name) as file:
            return file.read(MAX_BYTES + 1)

    def close(self) -> None:
        self._file.close()


class _Tar(_Archive):
    def __init__(self, path: Path) -> None:
        with tarfile.open(path, "r:") as tar:
            # Links are left out: they could name anything.
            self._where = {one.name: (one.offset_data, one.size) for one in tar if one.isreg() and not one.issparse()}
            end = tar.offset
        self._file: IO[bytes] = path.open("rb")
        self._file.seek(end)
        block = self._file.read(tarfile.BLOCKSIZE)
        if not block or any(block):  # tarfile passes over this: what comes after it would be gone
            self._file.close()
            raise tarfile.ReadError("cut short, or damaged in the middle")
        super().__init__(self._where, self._at)

    def _at(self, name: str) -> bytes:
        offset, size = self._where[name]
        self._file.seek(offset)
        data = self._file.read(min(size, MAX_BYTES + 1))
        if len(data) < min(size, MAX_BYTES + 1):
            raise EOFError(name)
        return data

    def close(self) -> None:
        self._file.close()


class _Several:
    def __init__(self, parts: Sequence[Pictures]) -> None:
        self._parts = parts

    def names(self) -> list[str]:
        return [name for part in self._parts for name in part.names()]

    def read(self, name: str) -> bytes | str:
        for part in self._parts:
            found = part.read(name)
            if found != MISSING:
                return found
        return MISSING

    def close(self) -> None:
        for part in self._parts:
            part.close()
