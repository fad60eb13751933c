"""Trees: sets of files in a bucket that never change, each below a prefix that is named by what it holds.

Two writers of different contents never write to the same object, so a reader sees the files of one of them and no mix. A tree
that was sent in part is completed by whoever has the same contents; a pointer to it is written when it is whole.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.files import remember_sha256
from globe.storage import transfer
from globe.storage.bucket import delete, listing
from globe.storage.contents import Files, as_record, below, is_verified, list_files, read_files
from globe.storage.effort import Damaged, Effort
from globe.storage.transfer import PARTIAL, Fetching
from globe.storage.uris import Uri

_NAME = re.compile(r"[0-9a-f]{12}")
_UNFINISHED_SUFFIXES = (PARTIAL, ".tmp")
"""Files that somebody is writing, or was when he was killed."""


@dataclass(frozen=True)
class Tree:
    """A set of files below `base/name/`."""

    base: Uri
    name: str
    files: Files

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
        return {"uri": str(self.uri), "tree": self.name, "files": as_record(self.files)}

    def below(self, name: str) -> list[str]:
        """The files at or below a relative name; all for an empty one."""
        return below(self.files, name)


def read_tree(base: Uri, record: Any, where: object) -> Tree:
    """Read a tree from a pointer; what a bucket holds may come from anybody, so it is checked.

    Raises:
        Damaged: It is no record of a tree, or names a file that would lie elsewhere.
    """
    fields = record if isinstance(record, dict) else {}
    files, name = read_files(fields.get("files"), where), str(fields.get("tree"))
    if not _NAME.fullmatch(name):
        raise Damaged(f"{where}: is no record of a finished stage; repeat that stage")
    return Tree(base, name, files)


def send_tree(base: Uri, folder: Path, paths: Iterable[Path], effort: Effort) -> Tree:
    """Send some files of a folder as a tree; those that an earlier, killed call has sent are not sent again.

    Raises:
        GlobeError: A file was written to meanwhile.
    """
    paths = list(paths)
    states = {path.relative_to(folder).as_posix(): path.stat() for path in paths}
    files = list_files(folder, paths, effort)
    tree = Tree(base, hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:12], files)
    there = {found.uri: found.size for found in listing(tree.uri, effort)}
    transfer.send({tree.uri / n: folder / n for n, (_, size) in files.items() if there.get(tree.uri / n) != size}, effort)
    for name, state in states.items():
        now = (folder / name).stat()
        if (now.st_size, now.st_mtime_ns) != (state.st_size, state.st_mtime_ns):
            raise GlobeError(f"{folder / name}: changed while it was sent; nobody may write to a finished result")
    return tree


def fetch_tree(tree: Tree, folder: Path, names: Collection[str], effort: Effort, mtime_ns: int = 0) -> None:
    """Fetch some of a tree's files to a folder; those that are there already, checked, are not fetched again."""
    missing = [
        Fetching(tree.uri / name, folder / name, size, sha256, mtime_ns)
        for name in names
        for sha256, size in (tree.files[name],)
        if not is_verified(folder / name, sha256, size)
    ]
    transfer.fetch(missing, effort)
    for file in missing:
        remember_sha256(file.path, file.sha256)


def files_below(folder: Path, skip: Callable[[str], bool] = lambda name: False) -> Iterator[Path]:
    """A folder's files, sorted, without what somebody is writing and without what `skip` says of a relative name.

    A link to a file counts as the file; a link to a folder is not followed, since it might lead round in a circle.
    """
    for place, folders, names in os.walk(folder):
        inner = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not skip((inner / name).as_posix()))
        for name in sorted(names):
            path = Path(place) / name
            if not name.endswith(_UNFINISHED_SUFFIXES) and not skip((inner / name).as_posix()) and path.is_file():
                yield path


def prune(base: Uri, keep: Callable[[str], bool], effort: Effort) -> None:
    """Delete the objects below a prefix, but those whose relative name is to be kept."""
    doomed = [one.uri for one in listing(base, effort) if not keep(one.uri.key.removeprefix(f"{base.key}/"))]
    transfer.for_all(lambda uri: delete(uri, effort), doomed, effort)
