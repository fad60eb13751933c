"""Finished results in a store that is a folder: which folder is one, and what is believed of the files in it.

STORE/STAGE/KEY/result.json     written last; lists sha256 and size of each file of the result, and is signed where the run signs
"""

import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.signing import Unsigned, place_in_store, require_signed
from globe.storage import contents
from globe.storage.effort import Damaged
from globe.storage.inputs import Wanted

RESULT_FILE = "result.json"
RESULT = "result"
"""What its record is signed as."""
STORED = "stored"
"""The record's part that lists the files; earlier versions wrote it for stores on S3 only."""
_KEY = re.compile(r"[0-9a-f]{16}")


def is_stage_folder(place: str) -> bool:
    """Whether a path or address is named as a stage's folder in a store is."""
    return bool(_KEY.fullmatch(place.rstrip("/").rsplit("/", 1)[-1]))


def finished_folder_of(path: Path) -> Path | None:
    """The folder of the finished stage that a path is or lies in; None where there is none."""
    path = Path(os.path.abspath(path))
    return next((one for one in (path, *path.parents) if _KEY.fullmatch(one.name) and (one / RESULT_FILE).is_file()), None)


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a finished stage, as far as every record goes.

    Raises:
        Unsigned: This run signs, and did not sign it.
        GlobeError: It is damaged.
    """
    path, record = folder / RESULT_FILE, read_unchecked(folder)
    try:
        require_signed(record, place_in_store(RESULT, folder), path)
    except Unsigned as error:
        raise Unsigned(f"{error}; where you know it to be right: globe sign STORE/{folder.parent.name}/{folder.name}") from None
    return record


def read_unchecked(folder: Path) -> dict[str, Any]:
    """The record of a finished stage, signed or not, for whoever is about to sign it.

    Raises:
        GlobeError: It is damaged.
    """
    path = folder / RESULT_FILE
    try:
        if path.exists() and not path.is_file():  # a pipe, at which reading would wait for ever
            raise ValueError
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise GlobeError(
            f"{path}: damaged, not the record of a finished stage; remove the folder {folder}, then run again"
        ) from None
    return record


def require_files(folder: Path, record: Mapping[str, Any], wanted: Wanted) -> None:
    """Check files of a finished stage against its record; the record of an earlier version lists none, and is believed.

    Args:
        folder: The stage's folder.
        record: Its record.
        wanted: Picks those to check from the names of all.

    Raises:
        GlobeError: One was changed, or is gone; says what to do.
    """
    if STORED in record:
        files = _listed(folder, record)
        _require(folder, files, wanted(files.keys()))


def have(folder: Path, path: Path, sha256: Mapping[str, str]) -> None:
    """Check a file, or all that the result has below a folder; see `globe.storage.have`.

    Raises:
        GlobeError: One is not what the record says, or what the caller knows is not in the record.
    """
    record = read_record(folder)
    if STORED not in record:
        return
    files, inner = _listed(folder, record), Path(os.path.abspath(path)).relative_to(folder)
    require_known(files, inner, sha256, path)
    names = contents.below(files, "" if inner == Path() else inner.as_posix())
    if not names and not path.is_dir():
        raise GlobeError(f"{path}: no such file in the result of stage {folder.parent.name}")
    _require(folder, files, names)


def require_known(files: contents.Files, inner: Path, sha256: Mapping[str, str], where: object) -> None:
    """Check that a list of files has what a caller knows of some of them.

    Args:
        files: The list.
        inner: The folder that the caller's names start from, relative to the list's.
        sha256: What the caller knows.
        where: What it is about, for the error.

    Raises:
        GlobeError: It has another file, or none.
    """
    for name, digest in sha256.items():
        if files.get((inner / name).as_posix(), ("",))[0] != digest:
            raise GlobeError(f"{where}: {name} is not what the manifest names: the stage was repeated since; run on from it")


def repeat(folder: Path, error: object) -> GlobeError:
    """An error about a finished result, with what to do."""
    return GlobeError(f"{error}; repeat stage {folder.parent.name}, its result is damaged")


def _listed(folder: Path, record: Mapping[str, Any]) -> contents.Files:
    stored = record[STORED]
    return contents.read_files(stored.get("files") if isinstance(stored, dict) else None, folder / RESULT_FILE)


def _require(folder: Path, files: contents.Files, names: Collection[str]) -> None:
    try:
        contents.require(folder, files, names)
    except Damaged as error:
        raise repeat(folder, error) from None
