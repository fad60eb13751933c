"""Write files completely or not at all, compute their digests, and write JSON in the package's one way."""

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError

CLOCK_TICK_S = 0.02
"""File systems keep time no finer than this: of two writes within one tick, the second may leave the time of the first."""
WORTH_A_TICK_BYTES = 1 << 20
"""Hashing a smaller file once more takes less time than waiting for the next tick."""


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


_Version = tuple[int, int, int]
"""Size, modification time and status change time: a write changes the last one, and nobody can set that back."""
_digests: dict[tuple[int, int], tuple[_Version, str]] = {}
"""What this process knows: version and sha256 by device and inode."""


def file_sha256(path: Path) -> str:
    """The sha256 of a file as hexadecimal digits, read in pieces, and by a process only once for each version of the file."""
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        if known := _known(before):
            return known
        settled = time.time() - before.st_ctime > CLOCK_TICK_S
        if not settled and before.st_size >= WORTH_A_TICK_BYTES:
            time.sleep(CLOCK_TICK_S)
            settled = True
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if settled and _version(os.fstat(file.fileno())) == _version(before):
            _digests[before.st_dev, before.st_ino] = (_version(before), digest)
    return digest


def remember_sha256(path: Path, digest: str) -> None:
    """Tell what a file hashes to as it is now, where the caller has just seen that."""
    state = path.stat()
    _digests[state.st_dev, state.st_ino] = (_version(state), digest)


@contextmanager
def digests_kept(paths: Iterable[Path]) -> Iterator[None]:
    """Keep what is known of files while a `with` block links, unlinks or chmods them: that sets one of their times, and no byte.

    A file that was replaced or written to meanwhile is not known any more.
    """
    known = [(path, _content(state), digest) for path in paths if (digest := _known(state := path.stat()))]
    yield
    for path, content, digest in known:
        if _content(path.stat()) == content:
            remember_sha256(path, digest)


def _content(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _known(state: os.stat_result) -> str:
    version, digest = _digests.get((state.st_dev, state.st_ino), (None, ""))
    return digest if version == _version(state) else ""


def _version(state: os.stat_result) -> _Version:
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


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
        try:
            probe.write_bytes(b"x")
        finally:
            probe.unlink(missing_ok=True)  # a full disk has room for its name
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
