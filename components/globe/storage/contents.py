"""What a result consists of: the sha256 and the size of each file by name, as its record lists them.

The list is the same for a result in a folder and for one in a bucket, and so is what is believed of it: a file that is not what
the list says is never used.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.files import file_sha256
from globe.storage import transfer
from globe.storage.effort import Damaged, Effort
from globe.storage.uris import check_name

Files = Mapping[str, tuple[str, int]]
"""sha256 and size in bytes, by relative name."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def list_files(folder: Path, paths: Iterable[Path], effort: Effort) -> Files:
    """Hash some files of a folder; those that this process has hashed already are not read again.

    Raises:
        InputError: A file's name would not do elsewhere.
    """
    sizes = {check_name(path.relative_to(folder).as_posix(), folder): path.stat().st_size for path in paths}
    digests = transfer.for_all(lambda name: file_sha256(folder / name), list(sizes), effort)
    return {name: (digest, size) for (name, size), digest in zip(sizes.items(), digests, strict=True)}


def as_record(files: Files) -> dict[str, list[Any]]:
    """A list of files as JSON."""
    return {name: list(kept) for name, kept in files.items()}


def read_files(record: Any, where: object) -> Files:
    """Read a list of files; what a store holds may come from anybody, so it is checked.

    Raises:
        Damaged: It is none, or names a file that would lie elsewhere.
    """
    try:
        files = {check_name(name, where): (str(sha256), int(size)) for name, (sha256, size) in record.items()}
    except InputError as error:
        raise Damaged(str(error)) from None
    except (AttributeError, TypeError, ValueError):
        files = {"": ("", -1)}
    if not all(_SHA256.fullmatch(sha256) and size >= 0 for sha256, size in files.values()):
        raise Damaged(f"{where}: is no record of a finished stage; repeat that stage")
    return files


def below(files: Files, name: str) -> list[str]:
    """The files at or below a relative name; all for an empty one."""
    return [file for file in files if not name or file == name or file.startswith(f"{name}/")]


def require(folder: Path, files: Files, names: Collection[str]) -> None:
    """Check that some files of a list are in a folder as the list says.

    Raises:
        Damaged: One is gone, was changed, or is a link to somewhere else.
    """
    real = folder.resolve()
    for name in names:
        path = folder / name
        if not path.resolve().is_relative_to(real):
            raise Damaged(f"{path}: a link leads out of the result to {path.resolve()}")
        if not path.is_file():
            raise Damaged(f"{path}: is gone, and belongs to the result")
        if not is_verified(path, *files[name]):
            raise Damaged(f"{path}: is not the file that its record names (sha256 {files[name][0][:12]}...): it was changed")


def is_verified(path: Path, sha256: str, size: int) -> bool:
    """Whether a file has these bytes; one that this process has hashed is hashed again only when it was written to."""
    try:
        return path.is_file() and path.stat().st_size == size and file_sha256(path) == sha256
    except FileNotFoundError:
        return False
