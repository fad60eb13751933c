"""Stages' folders in a store on S3: finished results are published whole, and pulled as far as they are read.

STORE/STAGE/KEY/result.json          written last, and only once: who comes second takes what is there
STORE/STAGE/KEY/TREE/...             the result's files under their own names
STORE/STAGE/KEY/unfinished*          what a stage that still works has done so far, see `globe.storage.keeper`
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.files import json_text, write_atomically, write_json
from globe.storage import s3
from globe.storage.s3 import Effort
from globe.storage.transfer import Damaged, Sending, send
from globe.storage.trees import Tree, fetch_tree, files_below, make_tree, prune, read_tree, send_tree
from globe.storage.uris import Uri, place_of

RESULT_FILE = "result.json"
UNSENT_FILE = "result.unsent.json"
"""The record of work that is done here and has not reached the bucket yet."""
UNFINISHED = "unfinished"
BULKY_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".pth", ".gguf")
"""Weights and shards: pulled when they are read. Everything else is small and comes with the record."""
LOG_SUFFIX = ".log"


at_work: set[Path] = set()
"""Folders that this process works in: what lies there is nobody else's yet, and nothing is pulled over it."""


@dataclass(frozen=True)
class StageFolder:
    """A stage's folder in a mirror."""

    folder: Path
    base: Uri

    @property
    def result(self) -> Uri:
        """The finished result's record."""
        return self.base / RESULT_FILE


def stage_folder_of(path: Path) -> StageFolder | None:
    """The stage's folder that a path is or lies in; None outside the mirror of a store."""
    place = place_of(path)
    if place is None or place.kind != "stores" or len(place.inner) < 2:
        return None
    folder = Path(path.absolute())
    for _ in place.inner[2:]:
        folder = folder.parent
    return StageFolder(folder, place.root / "/".join(place.inner[:2]))


def refresh(folder: Path, effort: Effort | None = None) -> None:
    """Bring a stage's record up to date: afterwards `result.json` is there if, and only if, the stage is finished.

    The bucket decides, not what an earlier process left here. Everything but weights and shards comes with the record.
    """
    stage = stage_folder_of(folder)
    if stage is None:
        return
    effort = effort or Effort()
    text = s3.get_text(stage.result, effort)
    if text is None:
        (folder / RESULT_FILE).unlink(missing_ok=True)
        return
    for last in (False, True):
        tree = _tree(stage, text)
        try:
            fetch_tree(tree, folder, [name for name in tree.files if not name.endswith(BULKY_SUFFIXES)], effort)
            break
        except (Damaged, s3.NotThere) as error:  # somebody may have repeated the stage meanwhile
            if last:
                raise GlobeError(f"{error}; repeat stage {folder.parent.name}, its result is damaged") from None
            text = s3.get_text(stage.result, effort) or text
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / RESULT_FILE).is_file() or (folder / RESULT_FILE).read_text(encoding="utf-8") != text:
        write_atomically(folder / RESULT_FILE, text)


def ensure(path: Path, sha256: Mapping[str, str], effort: Effort) -> None:
    """Have a file, or all files of a folder, of a finished stage on this machine.

    Args:
        path: Below a stage's folder in a mirror.
        sha256: What files below it must be, by relative name, where the caller knows.
        effort: How hard to try.

    Raises:
        GlobeError: The stage is not finished, has no such file, or another one than the caller knows.
    """
    stage = stage_folder_of(path)
    assert stage is not None
    if stage.folder in at_work:
        return
    if not (stage.folder / RESULT_FILE).is_file():
        refresh(stage.folder, effort)
    name = path.absolute().relative_to(stage.folder).as_posix()
    name = "" if name == "." else name
    for last in (False, True):
        if not (stage.folder / RESULT_FILE).is_file():
            raise GlobeError(f"{path}: the result of stage {stage.folder.parent.name} is gone; run that stage again")
        tree = _tree(stage, (stage.folder / RESULT_FILE).read_text(encoding="utf-8"))
        if not tree.below(name) and not path.exists() and name != RESULT_FILE:
            raise GlobeError(f"{path}: no such file in the result of stage {stage.folder.parent.name} ({tree.uri})")
        _compare(tree, name, sha256)
        try:
            return fetch_tree(tree, stage.folder, tree.below(name), effort)
        except (Damaged, s3.NotThere) as error:
            if last:
                raise GlobeError(f"{error}; repeat stage {stage.folder.parent.name}, its result is damaged") from None
            refresh(stage.folder, effort)


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
    stage = stage_folder_of(folder)
    if stage is None:
        write_json(folder / RESULT_FILE, record)
        return True
    write_json(folder / UNSENT_FILE, record)
    tree = make_tree(stage.base, folder, list(files_below(folder, lambda name: not_sent(name, scratch))))
    text = json_text(dict(record) | {"stored": tree.record()})
    try:
        send_tree(tree, folder, effort)
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


def not_sent(name: str, scratch: Sequence[str]) -> bool:
    """Whether a file or folder, by its name relative to the stage's folder, is no part of the stage's result or work."""
    return name in (RESULT_FILE, UNSENT_FILE, *scratch) or ("/" not in name and name.endswith(LOG_SUFFIX))


def send_log(stage: StageFolder, effort: Effort) -> None:
    """Leave the stage's log beside its result, where the folder has one."""
    logs = [path for path in stage.folder.glob(f"*{LOG_SUFFIX}") if path.is_file()]
    with suppress(GlobeError):
        send([Sending(path, stage.base / path.name, path.stat().st_size) for path in logs], effort.brief())


def unsent(folder: Path) -> dict[str, Any] | None:
    """The record of work that an earlier process has done here and could not publish, if there is one."""
    try:
        content = json.loads((folder / UNSENT_FILE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return dict(content)


def forget(folder: Path) -> None:
    """Remove a stage's result from the bucket, its record first, so that a kill leaves an unfinished stage and no wrong one."""
    stage = stage_folder_of(folder)
    if stage:
        effort = Effort()
        s3.delete(stage.result, effort)
        prune(stage.base, lambda name: False, effort)


def stored_at(path: Path) -> Uri | None:
    """Where in the bucket a file or folder of a finished stage lies, None outside a stage's folder and for unfinished work."""
    stage = stage_folder_of(path)
    if stage is None:
        return None
    if not (stage.folder / RESULT_FILE).is_file():
        refresh(stage.folder)
    if not (stage.folder / RESULT_FILE).is_file():
        return None
    tree = _tree(stage, (stage.folder / RESULT_FILE).read_text(encoding="utf-8"))
    name = path.absolute().relative_to(stage.folder).as_posix()
    return tree.uri if name == "." else tree.uri / name


def _claim(result: Uri, text: str, effort: Effort) -> bool:
    """Write the record unless there is one; False when there is another."""
    data = text.encode()
    try:
        s3.put(result, data, effort, create=True, content_type="application/json")
        return True
    except s3.Exists:
        return s3.get_text(result, effort) == text  # ours, when only the answer to the first try was lost
    except s3.Unsupported:  # a server that cannot write under a condition: look, then write
        there = s3.get_text(result, effort)
        if there is None:
            s3.put(result, data, effort, content_type="application/json")
        return there is None or there == text


def _is_finished(stage: StageFolder, effort: Effort) -> bool:
    with suppress(GlobeError):
        return s3.get_text(stage.result, effort.brief()) is not None
    return False


def _tidy(stage: StageFolder, effort: Effort) -> None:
    """Remove what the finished result does not need: pushed checkpoints, half a tree of a killed call."""
    brief = effort.brief()
    with suppress(GlobeError):  # worth money, not worth a failure
        text = s3.get_text(stage.result, brief)
        if text is not None:
            kept = f"{_tree(stage, text).name}/"
            prune(stage.base, lambda name: name.startswith(kept) or not_sent(name, ()), brief)
            s3.abandon_uploads(Uri(stage.base.bucket, f"{stage.base.key}/"), brief)


def _compare(tree: Tree, name: str, sha256: Mapping[str, str]) -> None:
    for file, digest in sha256.items():
        kept = tree.files.get(f"{name}/{file}" if name else file)
        if kept and kept[0] != digest:
            raise GlobeError(
                f"{tree.uri / name}: {file} is not what the manifest names: the stage was repeated since; run on from it"
            )


def _tree(stage: StageFolder, text: str) -> Tree:
    try:
        record = json.loads(text)["stored"]
    except (json.JSONDecodeError, KeyError, TypeError):
        record = None
    return read_tree(stage.base, record, stage.result)
