"""Keep unfinished work: push what a stage has done so far now and then, so that another machine can go on from it.

What is pushed is a copy of one moment: hard links of files that are written once, such as a checkpoint's, and copies of those
that grow. Each of the two becomes a tree, and `unfinished.json` names both when they are whole; those before are deleted then. So
the pointer names whole trees whatever moment somebody is killed at. Each machine has trees of its own and deletes no other's,
since that may still be at work. What is left over goes when the stage is finished.

What is fetched is used as this machine's own, and some of it is unpickled. So it is taken up only if it is nothing but what a
stage pushes and, where the run has a signing key, the pointer is signed for this stage: it has the sha256 of every file.
"""

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from globe.errors import GlobeError
from globe.files import json_text
from globe.signing import Unsigned, place_in_store, require_signed, signed
from globe.storage import bucket
from globe.storage.effort import Damaged, Effort, NotThere, Stopped
from globe.storage.results import UNFINISHED, UNFINISHED_FILE, StageFolder, at_work, send_log, stage_folder_of
from globe.storage.trees import Tree, fetch_tree, prune, read_tree, send_tree
from globe.storage.uris import Uri
from globe.storage.vouched import WorkSoFar, vouching

INTERVAL_VARIABLE = "GLOBE_PUSH_INTERVAL_S"
INTERVAL_S = 300.0
PULLED = ".pull"
"""Folder beside the stages' in which what is fetched lies until all of it is there and checked."""


@contextmanager
def keeping(folder: Path, work_so_far: WorkSoFar, checked: Sequence[str], effort: Effort) -> Iterator[None]:
    """Go on from what another machine has pushed of a stage's work, and push what this one does while the block runs.

    In a store that is a folder the work lies where it is done; see `vouching`. A failed push never fails the work: it is
    reported, and tried again later.

    Args:
        folder: The stage's folder.
        work_so_far: Finds the files to push.
        checked: Subfolders whose content the work itself checks before it goes on from it.
        effort: Whom to tell, and how hard to try to get what was pushed.
    """
    stage = stage_folder_of(folder)
    if stage is None:
        with vouching(folder, work_so_far, checked, effort):
            yield
        return
    bucket.write(stage.base / f"{UNFINISHED}/started", "", effort)  # without the right to write, no hour is to be spent
    take_up(stage, work_so_far, effort)
    keeper = Keeper(stage, work_so_far, effort)
    keeper.start()
    at_work.add(stage.folder)
    try:
        yield
    except Exception:
        keeper.end()
        keeper.push(effort.brief())  # the next try may be elsewhere
        send_log(stage, effort)
        raise
    finally:
        at_work.discard(stage.folder)
        keeper.end()


def take_up(stage: StageFolder, work_so_far: WorkSoFar, effort: Effort) -> None:
    """Fetch what was pushed last, unless what lies here is as new."""
    pulled = stage.folder.parents[1] / PULLED / stage.folder.parent.name / stage.folder.name  # signatures are for STAGE/KEY
    for last in (False, True):
        shutil.rmtree(pulled, ignore_errors=True)  # left by a kill, or of another pointer
        text = bucket.read_text(_pointer(stage), effort)
        if text is None:
            return
        try:
            pointer = json.loads(text)
            require_signed(pointer, place_in_store(UNFINISHED, stage.folder), _pointer(stage))
            base = stage.base / f"{UNFINISHED}/{int(pointer['machine'], 16):016x}"
            trees = [read_tree(base, tree, _pointer(stage)) for tree in pointer["trees"]]
            newest_ns = min(int(pointer["newest_ns"]), time.time_ns())
            here = [path.stat().st_mtime_ns for paths in work_so_far(stage.folder) for path in paths]
            if max(here, default=-1) >= newest_ns:
                return
            effort.note(f"going on from what an earlier try pushed ({sum(tree.size for tree in trees) / 1e6:.0f} MB)")
            pulled.mkdir(parents=True)
            for tree in trees:  # as old as they were: else they would look newer than what comes after them
                fetch_tree(tree, pulled, tree.files.keys(), effort, newest_ns)
            _require_only_work(pulled, work_so_far, trees, _pointer(stage))
            break
        except (
            Damaged,
            NotThere,
            Unsigned,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            if last:  # losing work is better than never finishing
                effort.note(f"what an earlier try pushed cannot be used, starting anew: {error}")
                return
    shutil.rmtree(stage.folder, ignore_errors=True)
    pulled.rename(stage.folder)  # whole: a pull that is killed before leaves nothing that looks like work


def _require_only_work(pulled: Path, work_so_far: WorkSoFar, trees: Sequence[Tree], where: Uri) -> None:
    """Check that what was pushed is what a stage pushes: no finished result, no program, no state that does not hold.

    Raises:
        Damaged: It is not; names the first other file.
    """
    work = {path.relative_to(pulled).as_posix() for paths in work_so_far(pulled) for path in paths}
    foreign = sorted({name for tree in trees for name in tree.files} - work)
    if foreign:
        raise Damaged(f"{where}: {foreign[0]} is no work that a killed stage goes on from, or is not what was signed")


_Stamps = frozenset[tuple[Path, int, int]]
"""Path, size and modification time of some files."""


class Keeper:
    """Pushes a stage's work now and then, and when it is told to."""

    def __init__(self, stage: StageFolder, work_so_far: WorkSoFar, effort: Effort) -> None:
        self._stage, self._work_so_far, self._effort = stage, work_so_far, effort
        self._interval_s = float(os.environ.get(INTERVAL_VARIABLE) or INTERVAL_S)
        self._machine = secrets.token_hex(8)
        self._base = stage.base / f"{UNFINISHED}/{self._machine}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="globe-keeper", daemon=True)
        self._sent: dict[str, tuple[_Stamps, Tree]] = {}
        """What the pointer names: the files that are settled, and those that are growing."""

    def start(self) -> None:
        """Push each time an interval has passed."""
        self._thread.start()

    def end(self) -> None:
        """Call off a push that is under way: what comes next sends more than it would."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.push(Effort(self._effort.note, self._interval_s, self._stop))

    def push(self, effort: Effort) -> None:
        """Push what there is, if it is something new."""
        copy = self._stage.folder.with_name(f".{self._stage.folder.name}.push")
        started_s = time.monotonic()
        try:
            settled, growing = self._work_so_far(self._stage.folder)
            # An unchanged checkpoint is neither hashed nor sent again when only a log has grown, and one that the trainer has
            # removed is kept until there is a newer one.
            stamps = {"settled": _stamps(settled), "growing": _stamps(growing)}
            new = {kind for kind, now in stamps.items() if now and now != self._sent.get(kind, (None,))[0]}
            if not new:
                return
            copies = [("settled", self._copy(settled if "settled" in new else [], copy, _link))]
            copies += [("growing", self._copy(growing if "growing" in new else [], copy, shutil.copy2))]
            sent = {kind: (stamps[kind], send_tree(self._base, copy, paths, effort)) for kind, paths in copies if paths}
            self._point(self._sent | sent, effort)
            self._sent |= sent
            size = sum(tree.size for _, tree in self._sent.values())
            effort.tell(f"work so far is kept in the store ({size / 1e6:.0f} MB, {time.monotonic() - started_s:.0f} s)")
        except Stopped:
            pass
        except (GlobeError, OSError) as error:  # OSError: the trainer removed a checkpoint while it was read
            effort.note(f"work so far could not be kept, will try again: {error}")
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def _copy(self, paths: Sequence[Path], copy: Path, duplicate: Callable[[Path, Path], object]) -> list[Path]:
        """Keep this moment of some files, whatever their writer does next."""
        targets = [copy / path.relative_to(self._stage.folder) for path in paths]
        for path, target in zip(paths, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # left by a kill
            duplicate(path, target)
        return targets

    def _point(self, sent: dict[str, tuple[_Stamps, Tree]], effort: Effort) -> None:
        """Make these trees what another machine takes up, and delete those before."""
        trees = [tree for _, tree in sent.values()]
        newest_ns = max(mtime_ns for stamps, _ in sent.values() for _, _, mtime_ns in stamps)
        pointer = {"machine": self._machine, "trees": [tree.record() for tree in trees], "newest_ns": newest_ns}
        bucket.write(_pointer(self._stage), json_text(signed(pointer, place_in_store(UNFINISHED, self._stage.folder))), effort)
        names = tuple(f"{tree.name}/" for tree in trees)
        with suppress(GlobeError):
            prune(self._base, lambda name: name.startswith(names), effort)


def _pointer(stage: StageFolder) -> Uri:
    return stage.base / UNFINISHED_FILE


def _link(source: Path, target: Path) -> None:
    """A second name for a file that nobody writes to any more; a copy where the file system has no second names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _stamps(paths: Sequence[Path]) -> _Stamps:
    return frozenset((path, state.st_size, state.st_mtime_ns) for path in paths for state in (path.stat(),))
