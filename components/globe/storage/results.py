"""Stages' folders: finished results are published whole; those in a store on S3 are fetched as far as they are read.

STORE/STAGE/KEY/result.json          written last, and only once: who comes second takes what is there; see `finished`
STORE/STAGE/KEY/TREE/...             the result's files under their own names
STORE/STAGE/KEY/unfinished*          what a stage that still works has done so far, see `globe.storage.keeper`
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.files import json_text, write_atomically, write_json
from globe.signing import Unsigned, place_in_store, require_signed, signed
from globe.storage import bucket, finished
from globe.storage.contents import as_record, list_files
from globe.storage.effort import Damaged, Effort, Exists, NotThere, Unsupported
from globe.storage.finished import RESULT, RESULT_FILE, STORED
from globe.storage.inputs import Wanted
from globe.storage.transfer import send
from globe.storage.trees import Tree, fetch_tree, files_below, prune, read_tree, send_tree
from globe.storage.uris import Uri, place_of

UNSENT_FILE = "result.unsent.json"
"""The record of work that is done here and has not reached the bucket yet."""
UNFINISHED = "unfinished"
UNFINISHED_FILE = f"{UNFINISHED}.json"
"""How an unfinished stage is gone on from: what was pushed to S3 (`globe.storage.keeper`), or what to believe of what lies
in the folder (`globe.storage.vouched`)."""
LOG_SUFFIX = ".log"
at_work: set[Path] = set()
"""Folders that this process works in: what lies there is nobody else's yet, and nothing is fetched over it."""


@dataclass(frozen=True)
class StageFolder:
    """A stage's folder in a mirror, and the prefix that it mirrors."""

    folder: Path
    base: Uri

    @property
    def result(self) -> Uri:
        """The finished result's record in the bucket."""
        return self.base / RESULT_FILE

    def record(self) -> str | None:
        """The finished result's record, as it lies here; None when it does not."""
        path = self.folder / RESULT_FILE
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def tree(self, record: str) -> Tree:
        """The files that a record names.

        Raises:
            Damaged: It names none.
        """
        stored = None
        with suppress(json.JSONDecodeError, KeyError, TypeError):
            stored = json.loads(record)[STORED]
        return read_tree(self.base, stored, self.result)

    def name_of(self, path: Path) -> str:
        """A path's name in the result; empty for the folder itself."""
        name = path.absolute().relative_to(self.folder).as_posix()
        return "" if name == "." else name


def stage_folder_of(path: Path) -> StageFolder | None:
    """The stage's folder that a path is or lies in; None outside the mirror of a store."""
    place = place_of(path)
    if place is None or place.kind != "stores" or len(place.inner) < 2:
        return None
    folder = Path(path.absolute())
    for _ in place.inner[2:]:
        folder = folder.parent
    return StageFolder(folder, place.root / "/".join(place.inner[:2]))


def refresh(stage: StageFolder, wanted: Wanted, effort: Effort) -> None:
    """Bring a stage's record up to date: afterwards `result.json` is here if, and only if, the stage is finished.

    The wanted files come first, and the record when they are here.
    """
    for last in (False, True):
        text = bucket.read_text(stage.result, effort)
        if text is None:
            return (stage.folder / RESULT_FILE).unlink(missing_ok=True)
        tree = stage.tree(text)
        try:
            fetch_tree(tree, stage.folder, wanted(tree.files.keys()), effort)
            if stage.record() != text:
                stage.folder.mkdir(parents=True, exist_ok=True)
                write_atomically(stage.folder / RESULT_FILE, text)
            return None
        except (Damaged, NotThere) as error:  # somebody may have repeated the stage meanwhile
            if last:
                raise finished.repeat(stage.folder, error) from None


def have(stage: StageFolder, path: Path, sha256: Mapping[str, str], effort: Effort) -> None:
    """Have a file, or all files of a folder, of a finished stage on this machine; see `globe.storage.have`.

    Raises:
        GlobeError: The stage is not finished, has no such file, or another one than the caller knows.
    """
    if stage.folder in at_work:
        return
    name, prefix = stage.name_of(path), path.absolute().relative_to(stage.folder)
    for last in (False, True):
        if last or stage.record() is None:
            refresh(stage, nothing, effort)
        record = stage.record()
        if record is None:
            raise _gone(stage, path)
        tree = stage.tree(record)
        finished.read_record(stage.folder)  # which says whether it holds
        if not tree.below(name) and not path.exists():
            raise GlobeError(f"{path}: no such file in the result of stage {stage.folder.parent.name} ({tree.uri})")
        finished.require_known(tree.files, prefix, sha256, tree.uri / name)
        try:
            return fetch_tree(tree, stage.folder, tree.below(name), effort)
        except (Damaged, NotThere) as error:
            if last:
                raise finished.repeat(stage.folder, error) from None


def agree(stage: StageFolder, path: Path, sha256: Mapping[str, str], effort: Effort) -> None:
    """Check by a finished stage's record that a folder of it holds certain files, see `globe.storage.agree`.

    Raises:
        GlobeError: It does not, or is gone.
    """
    refresh(stage, nothing, effort)
    record = stage.record()
    if record is None:
        raise _gone(stage, path)
    finished.read_record(stage.folder)
    finished.require_known(stage.tree(record).files, path.absolute().relative_to(stage.folder), sha256, path)


def _gone(stage: StageFolder, path: Path) -> GlobeError:
    return GlobeError(f"{path}: the result of stage {stage.folder.parent.name} is gone; run that stage again")


def nothing(names: object) -> tuple[str, ...]:
    """Bring none of a folder's files."""
    return ()


def publish(folder: Path, record: Mapping[str, Any], scratch: Sequence[str], effort: Effort) -> bool:
    """Make a stage finished: its files first, its record last.

    Args:
        folder: The stage's folder.
        record: What `result.json` is to say.
        scratch: Subfolders that can be made again and stay here.
        effort: How hard to try.

    Returns:
        False when another machine has finished the same stage meanwhile: then its result counts, and this one is dropped.
    """
    stage, place = stage_folder_of(folder), place_in_store(RESULT, folder)
    if stage is None:
        stored = {"files": as_record(list_files(folder, files_of(folder, scratch), effort))}
        write_json(folder / RESULT_FILE, signed(dict(record) | {STORED: stored}, place))
        (folder / UNFINISHED_FILE).unlink(missing_ok=True)
        return True
    write_json(folder / UNSENT_FILE, signed(record, place))
    try:
        tree = send_tree(stage.base, folder, files_of(folder, scratch), effort)
        text = json_text(signed(dict(record) | {STORED: tree.record()}, place))
        ours = _claim(stage.result, text, effort)
    except GlobeError:  # such as: an upload that the other machine's tidying ended
        if not _is_finished(stage, effort):
            raise
        ours = False
    if ours:
        write_atomically(folder / RESULT_FILE, text)
    (folder / UNSENT_FILE).unlink()
    _tidy(stage, effort)
    send_log(stage, effort)
    return ours


def sign(folder: Path, beside: Sequence[str]) -> None:
    """Sign a finished stage's record as it is, files included; the record of an earlier version gets its list of them now.

    Args:
        folder: The stage's folder.
        beside: Files, by relative name, that were added to the result and may change.

    Raises:
        FileNotFoundError: The stage is not finished.
        GlobeError: Its record is damaged, or a file is not the one that it lists.
    """
    stage, place, effort = stage_folder_of(folder), place_in_store(RESULT, folder), Effort()
    if stage:
        refresh(stage, nothing, effort)
    record = finished.read_unchecked(folder)
    if stage:
        stage.tree(json_text(record))  # what it lists is checked when it is fetched
    elif STORED in record:
        finished.require_files(folder, record, set)
    else:
        record |= {STORED: {"files": as_record(list_files(folder, files_of(folder, beside), effort))}}
    text = json_text(signed(record, place))
    if stage:
        bucket.write(stage.result, text, effort)
    write_atomically(folder / RESULT_FILE, text)


def files_of(folder: Path, scratch: Sequence[str]) -> Iterator[Path]:
    """The files of a stage's result or work: all but its records, its log, and subfolders that can be made again."""
    return files_below(folder, lambda name: name in (*scratch, UNFINISHED_FILE) or _is_beside(name))


def _is_beside(name: str) -> bool:
    """Whether a file, by its name relative to the stage's folder, is no part of the result: its record or its log."""
    return name in (RESULT_FILE, UNSENT_FILE) or ("/" not in name and name.endswith(LOG_SUFFIX))


def send_log(stage: StageFolder, effort: Effort) -> None:
    """Leave the stage's log beside its result, where the folder has one."""
    with suppress(GlobeError):
        send({stage.base / path.name: path for path in stage.folder.glob(f"*{LOG_SUFFIX}") if path.is_file()}, effort.brief())


def unsent(folder: Path) -> dict[str, Any] | None:
    """The record of work that an earlier process has done here and could not publish, if there is one.

    In a store that is a folder there is none: work there is published at once, so whoever wrote one did no work.
    """
    if stage_folder_of(folder) is None:
        return None
    with suppress(OSError, json.JSONDecodeError, Unsigned):
        record = dict(json.loads((folder / UNSENT_FILE).read_text(encoding="utf-8")))
        require_signed(record, place_in_store(RESULT, folder), folder / UNSENT_FILE)
        return record
    return None


def forget(folder: Path) -> None:
    """Remove a stage's result from the bucket, its record first, so that a kill leaves an unfinished stage and no wrong one."""
    stage = stage_folder_of(folder)
    if stage:
        effort = Effort()
        bucket.delete(stage.result, effort)
        prune(stage.base, lambda name: False, effort)


def stored_at(path: Path) -> Uri | None:
    """Where in the bucket a file or folder of a finished stage lies, None outside a stage's folder and for unfinished work."""
    stage = stage_folder_of(path)
    if stage and stage.record() is None:
        refresh(stage, nothing, Effort())
    record = stage.record() if stage else None
    if stage is None or record is None:
        return None
    uri, name = stage.tree(record).uri, stage.name_of(path)
    return uri / name if name else uri


def _claim(result: Uri, text: str, effort: Effort) -> bool:
    """Write the record unless there is one; False when there is another."""
    try:
        bucket.write(result, text, effort, create=True)
        return True
    except Exists:
        return bucket.read_text(result, effort) == text  # ours, when only the answer to the first try was lost
    except Unsupported:  # a server that cannot write under a condition: look, then write
        there = bucket.read_text(result, effort)
        if there is None:
            bucket.write(result, text, effort)
        return there is None or there == text


def _is_finished(stage: StageFolder, effort: Effort) -> bool:
    with suppress(GlobeError):
        return bucket.read_text(stage.result, effort.brief()) is not None
    return False


def _tidy(stage: StageFolder, effort: Effort) -> None:
    """Remove what the finished result does not need: pushed checkpoints, half a tree of a killed call."""
    brief = effort.brief()
    with suppress(GlobeError):  # worth money, not worth a failure
        text = bucket.read_text(stage.result, brief)
        if text is not None:
            kept = f"{stage.tree(text).name}/"
            prune(stage.base, lambda name: name.startswith(kept) or _is_beside(name), brief)
            bucket.abandon_uploads(stage.base, brief)
