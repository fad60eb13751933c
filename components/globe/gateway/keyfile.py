"""The file of a gateway's keys: made and changed by `globe keys`, given to the gateway as it is, on a cluster in a secret.

It holds no key, only a sha256 of each, from which nobody finds the key: 36 random letters and digits are 214 bits. A key reads
`globe_`, those, and six letters that are their checksum, so that a scanner for leaked secrets knows one without asking anybody.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import string
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from globe.errors import InputError, cannot_write
from globe.files import json_text, write_atomically

PREFIX = "globe_"
RANDOM, CHECK = 36, 6
"""Characters of a key's two parts."""
MAX_FILE_BYTES = 900_000
"""A secret of Kubernetes holds a little more."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM + CHECK}}}")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Key(BaseModel):
    """What is known of a key, which is all but the key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=rf"^{NAME}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    pixels_per_minute: PositiveInt | None = None
    """None for the gateway's own limit; so is the next one."""
    tokens_per_minute: PositiveInt | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it opens anything."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and self.expires <= now else "active"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    keys: tuple[Key, ...] = ()


def read_keys(path: Path) -> tuple[Key, ...]:
    """All keys of a file.

    Raises:
        InputError: There is none, or it is not what `globe keys` writes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise InputError(f"{path}: over {MAX_FILE_BYTES} bytes; it is no file of keys")
        keys = _File.model_validate_json(content).keys
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make a key first: globe keys make --name NAME --file {path}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}; it is not what `globe keys` writes") from None
    if len({key.sha256 for key in keys}) < len(keys):
        raise InputError(f"{path}: has the same key twice; keep one of them")
    return keys


def make_key(
    path: Path,
    name: str,
    *,
    expires: datetime | None = None,
    pixels_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    given: str = "",
) -> tuple[str, Key]:
    """Make a key, and add what is known of it to a file, which is made if there is none.

    Args:
        path: The file.
        name: Whose key it is; no other active key of the file has this name.
        expires: From when on it opens nothing; None for never.
        pixels_per_minute: The most that may be asked with it; None for the gateway's own limit.
        tokens_per_minute: The same, of answer tokens.
        given: A key that its owner has already, instead of a new one.

    Returns:
        The key itself, which is nowhere else, and its record.

    Raises:
        InputError: The name is no name or belongs to a key that is active, or the file cannot be read or written.
        GlobeError: The disk is full.
    """
    if not re.fullmatch(NAME, name):
        raise InputError(f"--name {name!r}: a name is up to 63 letters, digits, '.', '_' and '-', a letter or digit first")
    now = _now()
    key = given or new_key()
    record = Key(
        name=name,
        sha256=digest_of(key),
        created=now,
        expires=expires,
        pixels_per_minute=pixels_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    with _locked(path):
        keys = read_keys(path) if path.exists() else ()
        if any(known.name == name and known.state(now) == "active" for known in keys):
            raise InputError(f"--name {name}: there is an active key of this name; give another, or revoke that one first")
        _write(path, (*keys, record))
    return key, record


def revoke_key(path: Path, name: str) -> Key:
    """Revoke whatever keys have a name; one that is revoked stays as it is.

    Returns:
        The newest of them.

    Raises:
        InputError: There is none, or as `read_keys`.
        GlobeError: The disk is full.
    """
    now = _now()
    with _locked(path):
        keys = read_keys(path)
        if not any(key.name == name for key in keys):
            known = ", ".join(sorted({key.name for key in keys})) or "none"
            raise InputError(f"{name}: {path} has no key of this name; it has {known}")
        changed = tuple(key.model_copy(update={"revoked": now}) if key.name == name and not key.revoked else key for key in keys)
        if changed != keys:
            _write(path, changed)
    return [key for key in changed if key.name == name][-1]


def expiry_of(text: str, now: datetime | None = None) -> datetime:
    """When a key expires that somebody wants for so long, or until such a day.

    Args:
        text: `90d`, `12h`, `30m`, `4w`, or a day such as 2027-01-31, at whose end it expires (UTC).
        now: From when it counts.

    Raises:
        InputError: It is none of them, or in the past.
    """
    now = now or _now()
    try:
        if found := _SPAN.fullmatch(text):
            return now + timedelta(**{_UNITS[found[2]]: int(found[1])})
        expires = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + timedelta(days=1)
    except OverflowError:
        raise InputError(f"--expires {text}: is too far away; a key that is to hold for ever is made without it") from None
    except ValueError:
        raise InputError(f"--expires {text!r}: say 90d, 12h, 4w, or a day such as 2027-01-31") from None
    if expires <= now:
        raise InputError(f"--expires {text}: is in the past")
    return expires


def new_key() -> str:
    """A key that there has never been."""
    part = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM))
    return f"{PREFIX}{part}{_check(part)}"


def is_key(text: str) -> bool:
    """Whether a text is written as a key is, checksum included."""
    return bool(_KEY.fullmatch(text)) and text[-CHECK:] == _check(text[len(PREFIX) : -CHECK])


def digest_of(key: str) -> str:
    """What the file has of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _check(part: str) -> str:
    number, letters = zlib.crc32(part.encode()), ""
    for _ in range(CHECK):
        number, digit = divmod(number, len(_ALPHABET))
        letters = _ALPHABET[digit] + letters
    return letters


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    text = json_text(json.loads(_File(keys=keys).model_dump_json(exclude_none=True)))
    if len(text) > MAX_FILE_BYTES:
        raise InputError(f"{path}: is full, since a secret holds no more; take keys out that have long been revoked")
    try:
        write_atomically(path.resolve(), text, 0o600)
    except OSError as error:
        raise cannot_write(path, error) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone with a file, of all commands like this one. The lock is its folder's, since the file itself is replaced."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
