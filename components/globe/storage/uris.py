"""Addresses: `s3://bucket/key`, and where on this machine what lies there is mirrored.

A mirror's path is derived from the address alone, and the address from the path. So a path below a mirror means the same in
every process, pod and record, and needs no table that says what it stands for:

    SCRATCH/stores/BUCKET+PREFIX+PARTS/STAGE/KEY/...     a store of stages' results
    SCRATCH/inputs/BUCKET/KEY...                         what a user named as input
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


def address_of(text: str | Path) -> Uri | None:
    """Read an address; None for a path or a name.

    Raises:
        InputError: It is meant as an address, and is none that is known here.
    """
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
    """Check that an object's name, which anybody may have chosen, is safe as a relative path on this machine.

    Args:
        name: The name, with slashes.
        where: What to name in the error.

    Returns:
        The name.

    Raises:
        InputError: It is absolute, climbs out with `..`, or holds something that no file name may.
    """
    parts = name.split("/")
    reason = ""
    if any(part in ("", ".", "..") for part in parts):
        reason = "an empty part, '.' or '..'"
    elif "\\" in name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        reason = "a control character or a backslash"
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
