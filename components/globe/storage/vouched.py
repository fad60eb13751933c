"""Unfinished work in a store that is a folder, for a run with a signing key: what of it the next call believes.

A killed stage goes on from what lies in its folder, and on a shared claim others may have put it there: predictions, teachers'
replies, a finished checkpoint. So the process that works vouches every few seconds for the files that grow: `unfinished.json`
says how long each was then and what its bytes hash to, signed. The next call cuts each file to that length and removes all that
nobody vouches for, so it starts as another machine would with a store on S3. A kill costs what was written since.

Without a key nothing is vouched for and nothing is removed. Nor does this help against somebody who changes files while a stage
works on them: a claim is for those who may run code in the run.
"""

import hashlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from globe.errors import GlobeError
from globe.files import write_json
from globe.signing import is_signing, place_in_store, require_signed, signed
from globe.storage.effort import Effort
from globe.storage.results import LOG_SUFFIX, UNFINISHED, UNFINISHED_FILE

INTERVAL_S = 10.0
NAMES_TOLD = 3

WorkSoFar = Callable[[Path], tuple[Sequence[Path], Sequence[Path]]]
"""Finds in a stage's folder the files from which a killed stage goes on: those that stay as they are, and those that grow."""
_Vouched = dict[str, tuple[str, int]]
"""sha256 and length in bytes of the beginning of each file, by its name in the stage's folder."""


@contextmanager
def vouching(folder: Path, work_so_far: WorkSoFar, checked: Sequence[str], effort: Effort) -> Iterator[None]:
    """Believe only what an earlier call has vouched for, and vouch for this one's work while the block runs.

    Args:
        folder: The stage's folder.
        work_so_far: Finds the work. What stays as it is has signatures of its own, and is found only if they hold.
        checked: Subfolders whose content the work itself checks before it goes on from it.
        effort: Whom to tell.
    """
    if not is_signing():
        yield
        return
    keep_vouched(folder, work_so_far, checked, effort)
    voucher = Voucher(folder, work_so_far, checked, effort)
    voucher.start()
    try:
        yield
    finally:
        voucher.end()


class Voucher:
    """Signs what there is of a stage's growing files, now and then and at the end."""

    def __init__(self, folder: Path, work_so_far: WorkSoFar, checked: Sequence[str], effort: Effort) -> None:
        self._folder, self._work_so_far, self._checked, self._effort = folder, work_so_far, checked, effort
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="globe-voucher", daemon=True)
        self._said: _Vouched = {}

    def start(self) -> None:
        """Vouch each time an interval has passed."""
        self._thread.start()

    def end(self) -> None:
        """Vouch a last time."""
        self._stop.set()
        self._thread.join()
        self._vouch()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._vouch()

    def _vouch(self) -> None:
        try:
            _, growing = self._work_so_far(self._folder)
            now = {name: _beginning(self._folder / name) for name in _unchecked(growing, self._folder, self._checked)}
            if now != self._said:
                write_json(self._folder / UNFINISHED_FILE, signed({"files": now}, place_in_store(UNFINISHED, self._folder)))
                self._said = now
        except (GlobeError, OSError) as error:  # OSError: a file was replaced meanwhile
            self._effort.note(f"work so far could not be signed, will try again: {error}")


def keep_vouched(folder: Path, work_so_far: WorkSoFar, checked: Sequence[str], effort: Effort) -> None:
    """Make a stage's folder what an earlier call of the run's has vouched for; see `vouching`."""
    if folder.is_symlink():
        raise GlobeError(f"{folder}: is a link to {folder.resolve()}, which would be emptied; remove the link, run again")
    vouched = _read_vouched(folder, effort)
    settled, growing = work_so_far(folder)
    kept, refused = set(settled), []
    for name in _unchecked(growing, folder, checked):
        path = folder / name
        if name in vouched and _is_regular(path) and _beginning(path, vouched[name][1]) == vouched[name]:
            os.truncate(path, vouched[name][1])
            kept.add(path)
        else:
            refused.append(name)
    if refused:
        told = ", ".join(refused[:NAMES_TOLD]) + (f" and {len(refused) - NAMES_TOLD} more" if refused[NAMES_TOLD:] else "")
        effort.note(f"not signed with this run's key, or changed since: removed {told}; that work is done again")
    for entry in sorted(folder.iterdir()):
        is_ours = entry.name == UNFINISHED_FILE or entry.name.endswith(LOG_SUFFIX) or entry.name in checked
        if entry.is_symlink() or not is_ours:
            _remove_all_but(kept, entry)
        elif entry.is_dir():
            _remove_links(entry)


def _remove_links(folder: Path) -> None:
    """What writes there would write to where they lead."""
    for place, folders, names in os.walk(folder):
        for path in (Path(place) / name for name in (*folders, *names)):
            if path.is_symlink():
                path.unlink()


def _remove_all_but(kept: set[Path], path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        if path not in kept or path.is_symlink():
            path.unlink()
    elif any(one.is_relative_to(path) for one in kept):
        for inner in path.iterdir():
            _remove_all_but(kept, inner)
    else:
        shutil.rmtree(path)


def _read_vouched(folder: Path, effort: Effort) -> _Vouched:
    path = folder / UNFINISHED_FILE
    with suppress(FileNotFoundError):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            require_signed(record, place_in_store(UNFINISHED, folder), path)
            return {name: (sha256, size) for name, (sha256, size) in record["files"].items()}
        except (GlobeError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            effort.note(f"unfinished work is not gone on from: {error}")
    return {}


def _beginning(path: Path, size: int | None = None) -> tuple[str, int]:
    """The sha256 of a file's first bytes, and how many; all that it has now when no size is given."""
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size if size is None else size
        while read < size and (piece := file.read(min(1 << 20, size - read))):
            digest.update(piece)
            read += len(piece)
    return digest.hexdigest(), read


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _unchecked(paths: Sequence[Path], folder: Path, checked: Sequence[str]) -> list[str]:
    inner = [path.relative_to(folder) for path in paths]
    return [path.as_posix() for path in inner if path.parts[0] not in checked]
