"""Write files completely or not at all, compute their digests, and write JSON in the package's one way."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError


def write_atomically(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a text file so that a reader sees either the old file or the complete new one, even after a crash.

    Args:
        path: The file.
        text: Its content.
        mode: Who may read and write it at most; the umask takes from that.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two processes may write the same file
    try:
        partial.unlink(missing_ok=True)  # one that was left could have another mode
        with open(partial, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:  # such as a full disk
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as `write_atomically` does."""
    write_atomically(path, json_text(content))


def json_text(content: Any) -> str:
    """The text of a JSON file: place names in their own script, and sorted keys, so that equal contents make equal files."""
    return _printable(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)) + "\n"


def json_line(record: Any) -> str:
    """A line of a JSON lines file; keys keep their order, because people read them like columns."""
    return _printable(json.dumps(record, ensure_ascii=False)) + "\n"


def _printable(text: str) -> str:
    """Write lone surrogates, as in a file name that is not UTF-8, as JSON escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def file_sha256(path: Path) -> str:
    """The sha256 of a file as hexadecimal digits, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def output_folder(path: Path, option: str = "--out") -> Path:
    """Make a folder for results, and check that it can be written to before any work is done.

    Args:
        path: The folder.
        option: The option that named it, for the message.

    Returns:
        The folder.

    Raises:
        InputError: It is not a folder, cannot be made or cannot be written to.
        GlobeError: The disk is full.
    """
    probe = path / f".globe-{os.getpid()}.tmp"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except FileExistsError:
        raise InputError(f"{option} {path}: is not a folder; name a folder, which need not exist yet") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise GlobeError(f"{option} {path}: {error.strerror}") from None
        raise InputError(f"{option} {path}: cannot be written to ({error.strerror}); give another folder") from None
    return path


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Name the results' folder when a write in a `with` block fails: the system's error does not always name the file.

    Raises:
        GlobeError: In place of the system's error.
    """
    try:
        yield
    except OSError as error:
        raise GlobeError(f"{error.filename or folder}: {error.strerror or error}; what was finished is kept there") from error
