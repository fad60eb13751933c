"""The small files that travel between stages as pipeline artifacts: references to results in the store, never the data itself.

A component can succeed without writing its output, on a laptop and on a cluster alike, so each stage checks the artifacts it
is given before it works on them. They pass through the backend's own store, so they are signed where the run signs its records.
"""

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.files import write_json
from globe.models.checkpoints import MANIFEST_FILE, Checkpoint, read_checkpoint
from globe.run.stage import StageResult, load_result
from globe.signing import SIGNATURE, require_signed, signed
from globe.storage import have

PLACE = "artifact"
"""What artifacts are signed for."""


def write_reference(path: str, result: StageResult) -> None:
    """Write a reference to a finished stage as an artifact's file."""
    _write(path, _reference(result))


def write_references(path: str, results: Sequence[Sequence[StageResult]]) -> None:
    """Write references to several finished stages, in lists, as an artifact's file."""
    _write(path, {"lists": [[_reference(result) for result in one] for one in results]})


def read_result(path: str) -> StageResult:
    """The finished stage that a reference names.

    Raises:
        GlobeError: The artifact is empty, or what it names is no longer there.
    """
    return _referred(_read(path))


def read_references(path: str) -> list[list[StageResult]]:
    """The finished stages that `write_references` named.

    Raises:
        GlobeError: As `read_result`.
    """
    return [[_referred(reference) for reference in one] for one in _read(path)["lists"]]


def _reference(result: StageResult) -> dict[str, str]:
    return {"stage": result.name, "key": result.key, "folder": str(result.folder)}


def _referred(reference: Mapping[str, str]) -> StageResult:
    folder = Path(reference["folder"])
    try:
        return load_result(folder)
    except FileNotFoundError:
        raise GlobeError(f"{folder}: the result of stage {reference['stage']} is gone; run that stage again") from None


def write_values(path: str, values: Mapping[str, Any]) -> None:
    """Write what a task tells later ones, where that is no result in the store."""
    _write(path, values)


def read_values(path: str) -> dict[str, Any]:
    """What `write_values` wrote.

    Raises:
        GlobeError: The artifact is empty or damaged, or this run signs and did not sign it.
    """
    return _read(path)


def write_nothing(path: str) -> None:
    """Write the artifact of a stage that was switched off: a backend passes on only files that exist."""
    _write(path, {})


def data_folder(path: str) -> Path:
    """The folder of datasets that a reference names."""
    return output_of(path, "data")


def test_set(path: str) -> Path:
    """The held-out dataset behind a reference: the `test` set of curated data, or the dataset itself."""
    folder = data_folder(path)
    return folder / "test" if (folder / "test").is_dir() else folder


def output_of(path: str, name: str) -> Path:
    """A file or folder that a finished stage made, by the name of the output."""
    return read_result(path).outcome.path(name)


def copy_manifest(manifest: str, path: str) -> None:
    """Write the artifact of the checkpoint with this manifest, or of no checkpoint when `manifest` is empty."""
    if not manifest:
        write_nothing(path)
        return
    _write_manifest(read_checkpoint(have(Path(manifest))), path)


def write_checkpoint(path: str, result: StageResult) -> None:
    """Write the manifest of a stage's checkpoint as an artifact's file."""
    _write_manifest(read_checkpoint(manifest_of(result)), path)


def manifest_of(result: StageResult) -> Path:
    """Path of the manifest of a training stage's checkpoint."""
    return result.outcome.path("checkpoint") / MANIFEST_FILE


def checkpoint(path: str) -> Checkpoint:
    """The checkpoint whose manifest is at a path: an artifact's file."""
    _read(path)
    return read_checkpoint(Path(path))


def optional_checkpoint(path: str) -> Checkpoint | None:
    """The checkpoint whose manifest an artifact holds; None when the stage that makes it was switched off."""
    return checkpoint(path) if _read(path) else None


def finite(figures: Mapping[str, Any], names: Collection[str] | None = None) -> dict[str, float]:
    """The figures that a backend can keep as metrics: finite numbers. Anything else makes it fail a finished stage.

    Args:
        figures: Figures by name.
        names: Which of them to take; all when None.
    """
    wanted = figures if names is None else [name for name in names if name in figures]
    numbers = {name: figures[name] for name in wanted if isinstance(figures[name], int | float)}
    return {name: float(value) for name, value in numbers.items() if abs(value) <= sys.float_info.max}


def _write_manifest(checkpoint: Checkpoint, path: str) -> None:
    _write(path, asdict(checkpoint) | {"digest": checkpoint.digest})


def _write(path: str, content: Mapping[str, Any]) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, signed(content, PLACE))


def _read(path: str) -> dict[str, Any]:
    try:
        content = dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise GlobeError(f"{path}: the previous stage wrote no usable artifact ({error})") from error
    require_signed(content, PLACE, path)
    return {name: value for name, value in content.items() if name != SIGNATURE}
