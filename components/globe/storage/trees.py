"""Trees: sets of files in a bucket that never change, each below a prefix that is named by what it holds.

Two writers of different contents never write to the same object, so a reader sees the files of one of them and no mix. A tree
that was sent in part is sent on by whoever has the same contents; a pointer is written when it is whole.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.files import file_sha256
from globe.storage import s3, transfer
from globe.storage.s3 import Effort
from globe.storage.transfer import PARTIAL, Damaged, Fetching, Sending
from globe.storage.uris import Uri, check_name

_NAME = re.compile(r"[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PASSING_SUFFIXES = (PARTIAL, ".parts", ".tmp")
"""Files that somebody is writing, or was when he was killed."""


@dataclass(frozen=True)
class Tree:
    """A set of files below `base/name/`."""

    base: Uri
    name: str
    files: Mapping[str, tuple[str, int]]
    """sha256 and size in bytes, by relative name."""

    @property
    def uri(self) -> Uri:
        """The prefix; the files lie there under their own names."""
        return self.base / self.name

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(size for _, size in self.files.values())

    def record(self) -> dict[str, Any]:
        """The tree as JSON, for a pointer to it."""
        return {"uri": str(self.uri), "tree": self.name, "files": {name: list(kept) for name, kept in self.files.items()}}

    def below(self, name: str) -> list[str]:
        """The files at or below a relative name; all for an empty one."""
        return [file for file in self.files if not name or file == name or file.startswith(f"{name}/")]


def read_tree(base: Uri, record: Any, where: object) -> Tree:
    """Read a tree from a pointer; what a bucket holds may come from anybody, so it is checked.

    Raises:
        Damaged: It is no record of a tree, or names a file that would lie elsewhere.
    """
    try:
        files = {check_name(name, where): (str(sha256), int(size)) for name, (sha256, size) in record["files"].items()}
        name = str(record["tree"])
        sound = all(_SHA256.fullmatch(sha256) and size >= 0 for sha256, size in files.values())
    except InputError as error:
        raise Damaged(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        sound = False
    if not sound or not _NAME.fullmatch(name):
        raise Damaged(f"{where}: is no record of a finished stage; repeat that stage")
    return Tree(base, name, files)


def make_tree(base: Uri, folder: Path, paths: Sequence[Path]) -> Tree:
    """Name and hash the tree that some files of a folder make."""
    names = [check_name(path.relative_to(folder).as_posix(), folder) for path in paths]
    sizes = [path.stat().st_size for path in paths]
    files = {name: (sha256, size) for name, sha256, size in zip(names, transfer.hash_all(paths), sizes, strict=True)}
    digest = hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()
    return Tree(base, digest[:12], files)


def send_tree(tree: Tree, folder: Path, effort: Effort) -> None:
    """Send a tree's files; those that an earlier, killed call has sent are not sent again."""
    prefix = Uri(tree.base.bucket, f"{tree.uri.key}/")
    there = {found.uri.key: found.size for found in s3.listing(prefix, effort)}
    missing = [
        Sending(folder / name, tree.uri / name, size)
        for name, (_, size) in tree.files.items()
        if there.get((tree.uri / name).key) != size
    ]
    transfer.send(missing, effort)


def fetch_tree(tree: Tree, folder: Path, names: Sequence[str], effort: Effort) -> None:
    """Fetch some of a tree's files to a folder; those that are there already, checked, are not fetched again."""
    missing = [
        Fetching(tree.uri / name, folder / name, size, sha256)
        for name in names
        for sha256, size in (tree.files[name],)
        if not is_verified(folder / name, sha256, size)
    ]
    transfer.fetch(missing, effort)
    for file in missing:
        _verified[file.path] = (file.size, file.path.stat().st_mtime_ns, file.sha256)


_verified: dict[Path, tuple[int, int, str]] = {}


def is_verified(path: Path, sha256: str, size: int) -> bool:
    """Whether a file has these bytes; one that this process has hashed is hashed again only when it was written to."""
    try:
        state = path.stat()
    except OSError:
        return False
    if state.st_size != size or not path.is_file():
        return False
    stamp = (size, state.st_mtime_ns, sha256)
    if _verified.get(path) != stamp:
        if file_sha256(path) != sha256:
            return False
        _verified[path] = stamp
    return True


def files_below(folder: Path, skip: Callable[[str], bool] = lambda name: False) -> Iterator[Path]:
    """A folder's files, sorted, without what somebody is writing and without what `skip` says of a relative name.

    A link to a file counts as the file; a link to a folder is not followed, it might lead round in a circle.
    """
    for place, folders, names in os.walk(folder):
        inner = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not skip((inner / name).as_posix()))
        for name in sorted(names):
            path = Path(place) / name
            if not name.endswith(_PASSING_SUFFIXES) and not skip((inner / name).as_posix()) and path.is_file():
                yield path


def prune(base: Uri, keep: Callable[[str], bool], effort: Effort) -> None:
    """Delete the objects below a prefix, but those whose relative name is to be kept."""
    prefix = Uri(base.bucket, f"{base.key}/")
    doomed = [found.uri for found in s3.listing(prefix, effort) if not keep(found.uri.key.removeprefix(prefix.key))]
    transfer.for_all(lambda uri: s3.delete(uri, effort), doomed, effort)
