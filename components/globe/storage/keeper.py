"""Keep unfinished work: push what a stage has done so far now and then, so that another machine can go on from it.

What is pushed is a copy of one moment: hard links of a checkpoint's files, which are written once, and copies of the few that
grow. Each of the two becomes a tree, and `unfinished.json` names both when they are whole; those before are deleted then. So
whatever moment somebody is killed at, the pointer names whole trees. Each machine has trees of its own and deletes no other's,
which may still be at work; what they leave goes when the stage is finished.
"""

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from globe.errors import GlobeError
from globe.files import json_text
from globe.storage import s3
from globe.storage.results import UNFINISHED, StageFolder, at_work, not_sent, send_log, stage_folder_of
from globe.storage.s3 import Effort
from globe.storage.transfer import Damaged
from globe.storage.trees import Tree, fetch_tree, files_below, make_tree, prune, read_tree, send_tree
from globe.storage.uris import Uri

INTERVAL_VARIABLE = "GLOBE_PUSH_INTERVAL_S"
INTERVAL_S = 300.0
WHOLE_FILE = "whole.json"
"""A folder `checkpoint-STEP` that holds it is written to its end, and stays as it is."""


@contextmanager
def keeping(folder: Path, scratch: Sequence[str], effort: Effort) -> Iterator[None]:
    """Go on from what another machine has pushed of a stage's work, and push what this one does while the block runs.

    Does nothing for a store that is a folder. A failed push never fails the work: it is told, and tried again later.

    Args:
        folder: The stage's folder.
        scratch: Subfolders that can be made again and stay here.
        effort: Whom to tell, and how hard to try to get what was pushed.
    """
    stage = stage_folder_of(folder)
    if stage is None:
        yield
        return
    s3.put(stage.base / f"{UNFINISHED}/started", b"", effort)  # without the right to write, no hour is to be spent
    take_up(stage, scratch, effort)
    keeper = Keeper(stage, scratch, effort)
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


def work_so_far(folder: Path, scratch: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """The files from which a killed stage goes on elsewhere.

    Returns:
        Those of the newest whole checkpoint, which stay as they are, and those that grow: what is logged line by line.
    """
    whole = [path.parent for path in folder.rglob(f"checkpoint-*/{WHOLE_FILE}") if _step(path.parent) >= 0]
    newest = max(whole, key=_step, default=None)
    others = files_below(folder, lambda name: not_sent(name, scratch) or _step(Path(name)) >= 0)
    growing = [path for path in others if path.suffix == ".jsonl" or (path.suffix == ".json" and path.parent == folder)]
    return list(files_below(newest)) if newest else [], growing


def take_up(stage: StageFolder, scratch: Sequence[str], effort: Effort) -> None:
    """Pull what was pushed last, unless what lies here is as new."""
    pulled = stage.folder.with_name(f".{stage.folder.name}.pull")
    for last in (False, True):
        text = s3.get_text(_pointer(stage), effort)
        if text is None:
            return
        try:
            pointer = json.loads(text)
            base = stage.base / f"{UNFINISHED}/{int(pointer['machine'], 16):016x}"
            trees = [read_tree(base, tree, _pointer(stage)) for tree in pointer["trees"]]
            newest_ns = int(pointer["newest_ns"])
            here = [path.stat().st_mtime_ns for paths in work_so_far(stage.folder, scratch) for path in paths]
            if max(here, default=-1) >= newest_ns:
                return
            effort.note(f"going on from what an earlier try pushed ({sum(tree.size for tree in trees) / 1e6:.0f} MB)")
            for tree in trees:
                fetch_tree(tree, pulled, list(tree.files), effort)
            break
        except (Damaged, s3.NotThere, ValueError, KeyError, TypeError) as error:
            if last:  # lost work is no reason to never finish
                effort.note(f"what an earlier try pushed cannot be used, starting anew: {error}")
                return
    names = {name for tree in trees for name in tree.files}
    for path in [path for path in pulled.rglob("*") if path.is_file()]:
        if path.relative_to(pulled).as_posix() in names:
            os.utime(path, ns=(newest_ns, newest_ns))  # as old as it was: else it would look newer than what comes after it
        else:
            path.unlink()  # of an earlier pull that was killed
    shutil.rmtree(stage.folder, ignore_errors=True)
    pulled.rename(stage.folder)  # whole: a pull that is killed before leaves nothing that looks like work


_Stamp = tuple[str, int, int]
"""A file's path, size and modification time."""


@dataclass(frozen=True)
class _Found:
    paths: list[Path]
    stamps: frozenset[_Stamp]


@dataclass(frozen=True)
class _Sent:
    stamps: frozenset[_Stamp]
    tree: Tree


class Keeper:
    """Pushes a stage's work now and then, and when it is told to."""

    def __init__(self, stage: StageFolder, scratch: Sequence[str], effort: Effort) -> None:
        self._stage, self._scratch, self._effort = stage, scratch, effort
        self._interval_s = float(os.environ.get(INTERVAL_VARIABLE) or INTERVAL_S)
        self._machine = secrets.token_hex(8)
        self._base = stage.base / f"{UNFINISHED}/{self._machine}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="globe-keeper", daemon=True)
        self._sent: list[_Sent | None] = [None, None]
        """What the pointer names: the newest whole checkpoint, and what grows."""

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
        started = time.monotonic()
        try:
            found = [_Found(paths, frozenset(map(_stamp, paths))) for paths in work_so_far(self._stage.folder, self._scratch)]
            # An unchanged checkpoint is neither hashed nor sent again when only a log has grown, and one that the trainer has
            # removed is kept until there is a newer whole one.
            new = [
                bool(this.paths) and not (last and last.stamps == this.stamps)
                for this, last in zip(found, self._sent, strict=True)
            ]
            if not any(new):
                return
            copies = [self._copy(this.paths, copy) if is_new else [] for this, is_new in zip(found, new, strict=True)]
            sent = [
                _Sent(this.stamps, self._send(copy, paths, effort)) if is_new else last
                for this, paths, is_new, last in zip(found, copies, new, self._sent, strict=True)
            ]
            size = self._point([kept for kept in sent if kept], effort)
            self._sent = sent
            effort.tell(f"work so far is kept in the store ({size / 1e6:.0f} MB, {time.monotonic() - started:.0f} s)")
        except s3.Stopped:
            pass
        except (GlobeError, OSError) as error:  # OSError: a checkpoint that the trainer removed under our hands
            effort.note(f"work so far could not be kept, will try again: {error}")
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def _copy(self, paths: Sequence[Path], copy: Path) -> list[Path]:
        """Keep this moment of some files, whatever their writer does next."""
        targets = [copy / path.relative_to(self._stage.folder) for path in paths]
        for path, target in zip(paths, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # left by a kill
            in_checkpoint = any(_step(parent) >= 0 for parent in path.relative_to(self._stage.folder).parents)
            (_link if in_checkpoint else shutil.copy2)(path, target)
        return targets

    def _send(self, copy: Path, paths: Sequence[Path], effort: Effort) -> Tree:
        tree = make_tree(self._base, copy, paths)
        send_tree(tree, copy, effort)
        return tree

    def _point(self, sent: Sequence["_Sent"], effort: Effort) -> int:
        """Make these trees what another machine takes up, and delete those before; returns their bytes."""
        newest_ns = max(mtime_ns for kept in sent for _, _, mtime_ns in kept.stamps)
        pointer = {"machine": self._machine, "trees": [kept.tree.record() for kept in sent], "newest_ns": newest_ns}
        text = json_text(pointer)
        s3.put(_pointer(self._stage), text.encode(), effort, content_type="application/json")
        names = tuple(f"{kept.tree.name}/" for kept in sent)
        with suppress(GlobeError):
            prune(self._base, lambda name: name.startswith(names), effort)
        return sum(kept.tree.size for kept in sent)


def _pointer(stage: StageFolder) -> Uri:
    return stage.base / f"{UNFINISHED}.json"


def _link(source: Path, target: Path) -> None:
    """A second name for a file that nobody writes to any more; a copy where the file system has no second names."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)


def _step(path: Path) -> int:
    """The step of a trainer's checkpoint folder, -1 for any other name."""
    name, _, step = path.name.rpartition("-")
    return int(step) if name == "checkpoint" and step.isdigit() else -1


def _stamp(path: Path) -> _Stamp:
    state = path.stat()
    return str(path), state.st_size, state.st_mtime_ns
