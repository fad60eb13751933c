"""Addresses: `s3://bucket/key`, where on this machine what lies there is mirrored, and how records write both.

A mirror's path is derived from the address alone, and the address from the path. So a path below a mirror means the same in
every process, pod and record, and needs no table that says what it stands for:

    SCRATCH/stores/BUCKET+PREFIX+PARTS/STAGE/KEY/...     a store of stages' results
    SCRATCH/inputs/BUCKET/KEY...                         what a user named as input

In a record (`portable`, `located`) a path below the store is relative, one that mirrors an input is its address, and any other,
such as that of a model which the user keeps elsewhere, is absolute. So a store can be moved, copied and mirrored without one of
them leading elsewhere.
"""

import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from globe.errors import InputError

SCHEME = "s3://"
SCRATCH_VARIABLE = "GLOBE_SCRATCH"
DEFAULT_SCRATCH = "/tmp/globe-store"
MAX_NAME_BYTES = 255
VERSION_MARK = "?versionId="
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SCHEME_LIKE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_PREFIX_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*")


@dataclass(frozen=True)
class Uri:
    """An address in a bucket; `key` has no slash at either end and is empty for the bucket itself."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "Uri":
        return Uri(self.bucket, f"{self.key}/{name}" if self.key else name)

    @property
    def path(self) -> str:
        """The address as the client takes it."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @staticmethod
    def of_path(path: str) -> "Uri":
        """The address that the client tells as a path."""
        bucket, _, key = path.partition("/")
        return Uri(bucket, key)


def address_of(text: str | Path) -> Uri | None:
    """Read an address; None for a path or a name. What is meant as an address of another kind raises an `InputError`."""
    return parse(str(text)) if _SCHEME_LIKE.match(str(text)) else None


def parse(text: str) -> Uri:
    """Read an address.

    Raises:
        InputError: It is none, or no file system could hold its names.
    """
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if "@" in bucket:  # what stands before it may be a password: not repeated here
        raise InputError("an s3:// address with credentials in it; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not text.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
        raise InputError(f"{text}: not an S3 address; give a path, or write it as s3://bucket/prefix")
    key = key.rstrip("/")
    if key:
        check_name(key, text)
    return Uri(bucket, key)


def check_name(name: str, where: object) -> str:
    """An object's name, which anybody may have chosen, checked to be safe as a relative path on this machine.

    Raises:
        InputError: It is absolute, climbs out with `..`, or holds something that no file name may; `where` says whose it is.
    """
    parts, reason = name.split("/"), ""
    if any(part in ("", ".", "..") for part in parts):
        reason = "an empty part, '.' or '..'"
    elif "\\" in name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        reason = "a control character or a backslash"
    elif VERSION_MARK in name:
        reason = f"{VERSION_MARK!r}, which the S3 client takes for the start of a version"
    elif any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        reason = f"a part longer than {MAX_NAME_BYTES} bytes"
    if reason:
        raise InputError(f"{where!s}: the name {name!r} has {reason}; rename the object")
    return name


def scratch() -> Path:
    """The folder that holds all mirrors; the same path in every pod, or records would not fit."""
    return Path(os.environ.get(SCRATCH_VARIABLE) or DEFAULT_SCRATCH).resolve()


def make_scratch() -> None:
    """Make the folder that holds all mirrors.

    Raises:
        InputError: The default one belongs to somebody else, who could exchange what is mirrored there.
    """
    folder = Path(os.environ.get(SCRATCH_VARIABLE) or DEFAULT_SCRATCH)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat()
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); set {SCRATCH_VARIABLE} to a folder with room") from None
    if SCRATCH_VARIABLE not in os.environ and (stat.S_ISLNK(state.st_mode) or state.st_uid != os.getuid()):
        raise InputError(f"{folder}: belongs to another user; set {SCRATCH_VARIABLE} to a folder of your own")


def store_mirror(store: Uri) -> Path:
    """Where the mirror of a store lies.

    Raises:
        InputError: The prefix has a name that this could not be read back from.
    """
    parts = [part for part in store.key.split("/") if part]
    for part in parts:
        if not _PREFIX_PART.fullmatch(part):
            raise InputError(f"{store}: {part!r} in a store's prefix; use letters, digits and . _ = - only")
    return scratch() / "stores" / "+".join([store.bucket, *parts])


def input_mirror(uri: Uri) -> Path:
    """Where the mirror of an input lies."""
    return scratch() / "inputs" / uri.bucket / uri.key


@dataclass(frozen=True)
class Place:
    """What a path below a mirror stands for."""

    kind: str
    """stores or inputs."""
    root: Uri
    """The store, or the input's bucket."""
    inner: tuple[str, ...]
    """The rest of the path, by parts."""

    @property
    def uri(self) -> Uri:
        """The address that the path mirrors name for name; where a finished stage's files lie, `globe.storage.stored_at` says."""
        return self.root / "/".join(self.inner) if self.inner else self.root


def place_of(path: Path) -> Place | None:
    """What a path stands for, None outside all mirrors."""
    absolute = Path(os.path.abspath(path))
    if not absolute.is_relative_to(scratch()):
        return None
    kind, *inner = absolute.relative_to(scratch()).parts or ("",)
    if kind not in ("stores", "inputs") or not inner:
        return None
    bucket, *prefix = inner[0].split("+")
    return Place(kind, Uri(bucket, "/".join(prefix)), tuple(inner[1:]))


def portable(path: str | Path, root: Path, start: Path | None = None) -> str:
    """A path as a record holds it.

    Args:
        path: The path.
        root: What moves as one with the record: the store.
        start: The folder that paths below the root are relative to; the root by default.

    Returns:
        A relative path, an address on S3, or an absolute path.
    """
    absolute = Path(os.path.abspath(path))
    for here in (absolute, absolute.resolve()):  # the store, or what lies there, may have been reached through a link
        for there in (Path(os.path.abspath(root)), root.resolve()):
            if here.is_relative_to(there):
                inner = there / Path(os.path.relpath(start, root)) if start else there
                return Path(os.path.relpath(here, inner)).as_posix()
    place = place_of(absolute)
    return str(place.uri) if place and place.kind == "inputs" else str(absolute)


def located(text: str, start: Path) -> Path:
    """Where on this machine a path of a record leads, from the folder that its relative paths start from; undoes `portable`."""
    address = address_of(text)
    return input_mirror(address) if address else Path(os.path.normpath(start / text))
