"""Keep unfinished work: push what a stage has done so far now and then, so that another machine can go on from it.

What is pushed is a copy of one moment: hard links of a checkpoint's files, which are written once, and copies of the few that
grow. It becomes a tree of its own, and `unfinished.json` names it when it is whole; the one before is deleted then. So whatever
moment somebody is killed at, the pointer names a whole tree.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from globe.errors import GlobeError
from globe.storage import s3
from globe.storage.results import UNFINISHED, StageFolder, at_work, not_sent, send_log, stage_folder_of
from globe.storage.s3 import Effort
from globe.storage.trees import fetch_tree, files_below, make_tree, prune, read_tree, send_tree
from globe.storage.uris import Uri

INTERVAL_VARIABLE = "GLOBE_PUSH_INTERVAL_S"
INTERVAL_S = 300.0
SETTLED_S = 10.0
"""How long nobody may have written to a checkpoint: ranks other than the first write theirs after its `trainer_state.json`."""


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
    keeper = _Keeper(stage, scratch, effort)
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


def work_so_far(folder: Path, scratch: Sequence[str]) -> list[Path]:
    """The files from which a killed stage goes on elsewhere: the newest whole checkpoint, and what was logged line by line.

    A trainer's checkpoint is a folder `checkpoint-STEP`; `trainer_state.json` is among the last files that it writes there.
    """
    checkpoints = [path.parent for path in folder.rglob("checkpoint-*/trainer_state.json") if path.stat().st_size]
    whole = [path for path in checkpoints if _step(path) >= 0 and _is_settled(path)]
    newest = max(whole, key=_step, default=None)
    kept = list(files_below(newest)) if newest else []
    for path in files_below(folder, lambda name: not_sent(name, scratch) or _step(Path(name)) >= 0):
        if path.suffix == ".jsonl" or (path.suffix == ".json" and path.parent == folder):
            kept.append(path)
    return sorted(kept)


def take_up(stage: StageFolder, scratch: Sequence[str], effort: Effort) -> None:
    """Pull what was pushed last, unless what lies here is as new."""
    pulled = stage.folder.with_name(f".{stage.folder.name}.pull")
    for last in (False, True):
        text = s3.get_text(_pointer(stage), effort)
        if text is None:
            return
        try:
            pointer = json.loads(text)
            tree, newest_ns = read_tree(stage.base / UNFINISHED, pointer, _pointer(stage)), int(pointer["newest_ns"])
            here = [path.stat().st_mtime_ns for path in work_so_far(stage.folder, scratch)]
            if max(here, default=-1) >= newest_ns:
                return
            effort.note(f"going on from what an earlier try pushed ({tree.size / 1e6:.0f} MB)")
            fetch_tree(tree, pulled, list(tree.files), effort)
            break
        except s3.Passing:
            raise
        except (GlobeError, ValueError, KeyError, TypeError) as error:
            if last:  # lost work is no reason to never finish
                effort.note(f"what an earlier try pushed cannot be used, starting anew: {error}")
                return
    for path in files_below(pulled):  # as old as it was: else it would look newer than what comes after it
        os.utime(path, ns=(newest_ns, newest_ns))
    shutil.rmtree(stage.folder, ignore_errors=True)
    pulled.rename(stage.folder)  # whole: a pull that is killed before leaves nothing that looks like work


class _Keeper:
    def __init__(self, stage: StageFolder, scratch: Sequence[str], effort: Effort) -> None:
        self._stage, self._scratch, self._effort = stage, scratch, effort
        self._interval_s = float(os.environ.get(INTERVAL_VARIABLE) or INTERVAL_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="globe-keeper", daemon=True)
        self._pushed: set[tuple[str, int, int]] = set()

    def start(self) -> None:
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
        folder = self._stage.folder
        copy = folder.with_name(f".{folder.name}.push")
        try:
            paths = work_so_far(folder, self._scratch)
            stamps = {_stamp(path, folder) for path in paths}
            if not stamps - self._pushed:
                return
            started = time.monotonic()
            size = _push(self._stage, paths, copy, effort)
            self._pushed = stamps
            effort.note(f"work so far is kept in the store ({size / 1e6:.0f} MB, {time.monotonic() - started:.0f} s)")
        except s3.Stopped:
            pass
        except (GlobeError, OSError) as error:  # OSError: a checkpoint that the trainer removed under our hands
            effort.note(f"work so far could not be kept, will try again: {error}")
        finally:
            shutil.rmtree(copy, ignore_errors=True)


def _push(stage: StageFolder, paths: Sequence[Path], copy: Path, effort: Effort) -> int:
    """Push a copy of some files and make the pointer name it; returns bytes."""
    shutil.rmtree(copy, ignore_errors=True)
    copies = []
    for path in paths:
        target = copy / path.relative_to(stage.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if _step(path.parent) >= 0 or any(_step(parent) >= 0 for parent in path.relative_to(stage.folder).parents):
            _link(path, target)
        else:
            shutil.copy2(path, target)
        copies.append(target)
    base = stage.base / UNFINISHED
    tree = make_tree(base, copy, copies)
    newest_ns = max(path.stat().st_mtime_ns for path in copies)
    send_tree(tree, copy, effort)
    pointer = json.dumps(tree.record() | {"newest_ns": newest_ns}, indent=1) + "\n"
    s3.put(_pointer(stage), pointer.encode(), effort, content_type="application/json")
    with suppress(GlobeError):
        prune(base, lambda name: name.startswith(f"{tree.name}/"), effort)
    return tree.size


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


def _is_settled(checkpoint: Path) -> bool:
    newest = max(path.stat().st_mtime for path in files_below(checkpoint))
    return time.time() - newest >= SETTLED_S


def _stamp(path: Path, folder: Path) -> tuple[str, int, int]:
    state = path.stat()
    return path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns
