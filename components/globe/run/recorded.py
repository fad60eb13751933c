"""What a finished stage's record says of its outputs, and what of it is believed.

An output lies in the stage's own folder. What a user gave lies elsewhere: then it is among the settings, which decide the stage's
address, and the record holds the hashes of the files that say what it is. Any other path was changed by somebody.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from globe import storage
from globe.errors import GlobeError
from globe.files import file_sha256
from globe.storage import RESULT_FILE, Wanted

PATH, FILES = "path", "files"
"""Mark a path among the outputs in a record, and the hashes of what lies there, if that is not in the stage's own folder."""


class ForeignPath(GlobeError):
    """A path leads out of the stage's folder, and it is not certain that what lies there is what the stage was given."""


class _Path(TypedDict):
    path: str
    files: NotRequired[dict[str, str]]


class _Kept(TypedDict):
    figure: str
    outputs: dict[str, str | _Path]
    figures: dict[str, Any]
    show: str | _Path


class _Record(TypedDict):
    stage: str
    key: str
    run: str
    seconds: float
    outcome: _Kept
    inputs: NotRequired[dict[str, str]]
    settings: NotRequired[dict[str, Any]]


_check_record = TypeAdapter(_Record).validate_python


def read_record(folder: Path) -> dict[str, Any]:
    """A finished stage's record, of a shape that its readers can rely on."""
    record, what = storage.read_record(folder), "damaged, not the record of a finished stage"
    try:
        _check_record(record)
        if (record["stage"], record["key"]) == (folder.parent.name, folder.name):
            return record
        what = f"the record of {record['stage']}/{record['key']}"
    except ValidationError:
        pass
    raise GlobeError(f"{folder / RESULT_FILE}: {what}; remove the folder {folder}, then run again")


def recorded(text: str, folder: Path, files: Sequence[str] | None = None) -> str | dict[str, Any]:
    """An output as it is recorded: a path becomes an object, so that a reader can tell it from a text.

    Args:
        text: The output.
        folder: The stage's folder.
        files: For what a user gave: the files there that say what it is.
    """
    if not Path(text).is_absolute():
        return text
    path: dict[str, Any] = {PATH: storage.portable(text, folder.parents[1])}
    if files is not None and not f"{path[PATH]}/".startswith(f"{folder.parent.name}/{folder.name}/"):
        path[FILES] = {name: file_sha256(Path(text) / name) for name in files}
    return path


def outputs_of(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """The outputs in a record, with paths as they are now.

    Raises:
        ForeignPath: An earlier version's path cannot be translated.
        GlobeError: A path leads where the stage has written nothing.
    """
    return {name: _found(folder, record, name, value) for name, value in record["outcome"]["outputs"].items()}


def shown_in(folder: Path, record: Mapping[str, Any]) -> str:
    """What a record names as the output to show to people; nothing is read there."""
    show = record["outcome"]["show"]
    return _found(folder, record, "show", show) if isinstance(show, str) else str(storage.located(show[PATH], folder.parents[1]))


def _found(folder: Path, record: Mapping[str, Any], name: str, value: str | Mapping[str, Any]) -> str:
    """An output: in the stage's own folder, or what the stage was given."""
    if not isinstance(value, str):
        path = storage.located(value[PATH], folder.parents[1])
        # What a user gives is among the settings, which decide the stage's address. Earlier versions kept no hashes of it.
        if value[PATH] in record.get("settings", {}).values() and (FILES in value or "stored" not in record):
            return str(path)
    elif not Path(value).is_absolute():
        return value
    else:
        # Earlier versions wrote absolute paths. The stage's address in one tells that it is in the stage's own folder.
        _, own, inner = f"{value}/".partition(f"/{folder.parent.name}/{folder.name}/")
        if not own:
            raise ForeignPath(f"{folder}: an earlier version recorded {value}; run stage {folder.parent.name} again")
        path = Path(os.path.normpath(folder / inner))
    if path.is_relative_to(folder) and path.resolve().is_relative_to(folder.resolve()):
        return str(path)
    raise GlobeError(
        f"{folder / RESULT_FILE}: output {name} leads out of the stage's folder, to {path.resolve()}: it was changed; "
        f"repeat stage {folder.parent.name}"
    )


def require_given(folder: Path, record: Mapping[str, Any], wanted: Wanted) -> None:
    """Fetch outputs that lie elsewhere as far as they are wanted, and check that they are what the stage was given.

    Raises:
        ForeignPath: One is not.
    """
    stage = folder.parent.name
    for name, text in outputs_of(folder, record).items():
        path, kept = Path(text), record["outcome"]["outputs"][name]
        if storage.is_mirrored(path) and not path.is_relative_to(folder):
            storage.fetch(path, wanted)
        for file, sha256 in kept.get(FILES, {}).items() if isinstance(kept, dict) else ():
            if not (path / file).is_file() or file_sha256(path / file) != sha256:
                raise ForeignPath(f"{path / file}: is not what stage {stage} was given; put it back, or repeat stage {stage}")
