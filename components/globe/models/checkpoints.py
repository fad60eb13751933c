"""Checkpoints as artifacts: the weights stay where they are, a small manifest travels and proves what they are."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from globe.answer.prompt import usable_prompt
from globe.errors import InputError
from globe.files import file_sha256, write_json
from globe.storage import have, is_mirrored, located, portable

TINY = "tiny"
"""Name of the demo's model: real architecture, random weights, built on the spot."""
MANIFEST_FILE = "globe-checkpoint.json"


@dataclass(frozen=True)
class Usage:
    """How a model is asked and served: what its weights alone do not say."""

    prompt: str = ""
    """The user turn's text that it was trained with; empty for the default, `globe.answer.prompt.PROMPT`."""
    serving: dict[str, Any] = field(default_factory=dict)
    """Values of the serving recipe of the run that made it; empty where none was named."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Values of that run's evaluation recipe, without the gate, which judges and does not ask."""

    def over(self, parent: "Usage") -> "Usage":
        """This usage, with the parent's values where it has none of its own."""
        return Usage(self.prompt or parent.prompt, self.serving or parent.serving, self.evaluation or parent.evaluation)


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that transformers, ms-swift and vLLM can load."""

    uri: str
    manifest: str
    """Path of the manifest: beside the weights, unless these are the user's own folder."""
    base_model: str
    """What training started from at the very beginning."""
    recipe: str
    """Recipe that made it; empty for a base model."""
    parent: str
    """Digest of the checkpoint it was trained from; empty for a base model."""
    step: int
    files: dict[str, str] = field(default_factory=dict)
    """sha256 of each file by name."""
    prompt: str = ""
    serving: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    """These three are its `Usage`; no part of the digest, since they change no weight."""

    @property
    def usage(self) -> Usage:
        """How it is asked and served."""
        return Usage(self.prompt, self.serving, self.evaluation)

    @property
    def path(self) -> Path:
        """The model's folder, its files compared with the manifest; fetched first where it mirrors one on S3."""
        return have(Path(self.uri), self.files)

    @property
    def digest(self) -> str:
        """What the weights and everything beside them are, wherever they lie."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def publish_checkpoint(
    folder: Path,
    *,
    base_model: str,
    recipe: str,
    parent: str,
    step: int,
    usage: Usage = Usage(),
    manifest_folder: Path | None = None,
    store: Path | None = None,
) -> Checkpoint:
    """Hash a finished model folder and write its manifest, last and atomically.

    Args:
        folder: The model's folder.
        base_model: What training started from at the very beginning.
        recipe: Recipe that made it; empty for a base model.
        parent: Digest of the checkpoint it was trained from.
        step: Optimiser steps since then.
        usage: How it is asked and served.
        manifest_folder: Where the manifest goes; the model's own folder unless that is the user's.
        store: The store that the manifest's folder lies in, unless that is the model's own: both may lie there and move as one.

    Returns:
        The checkpoint.

    Raises:
        InputError: The folder is no model: it lacks `config.json` or weights.
    """
    _require_model(folder)
    files = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST_FILE}
    manifest = (manifest_folder or folder).resolve() / MANIFEST_FILE
    checkpoint = Checkpoint(str(folder.resolve()), str(manifest), base_model, recipe, parent, step, files, **vars(usage))
    write_manifest(checkpoint, manifest, store or manifest.parent)
    return checkpoint


def write_manifest(checkpoint: Checkpoint, path: Path, root: Path | None = None) -> None:
    """Write a checkpoint's manifest.

    Args:
        checkpoint: The checkpoint.
        path: The file.
        root: Paths below it are written relative to the file: whoever moves the one moves the other. None writes absolute ones,
            for a manifest that travels alone.
    """
    places = {"uri": checkpoint.uri, "manifest": checkpoint.manifest}
    if root:
        places = {name: portable(place, root, path.parent) for name, place in places.items()}
    write_json(path, asdict(checkpoint) | places | {"digest": checkpoint.digest})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint from its folder or its manifest and check that its files are there.

    Raises:
        InputError: No manifest, one that cannot be read, or a file that it lists is gone.
    """
    manifest = path / MANIFEST_FILE if path.is_dir() else path
    if not path.exists():
        raise InputError(f"{path}: no such folder; give that of a checkpoint")
    if not manifest.is_file():
        raise InputError(f"{path}: no {MANIFEST_FILE}; this is no finished checkpoint")
    checkpoint = _read_manifest(manifest)
    uri, written = (str(located(place, manifest.parent.resolve())) for place in (checkpoint.uri, checkpoint.manifest))
    checkpoint = replace(checkpoint, uri=uri, manifest=written)
    if (manifest.parent / "config.json").is_file():  # it lies beside the model, wherever both were when it was written
        checkpoint = replace(checkpoint, uri=str(manifest.parent.resolve()), manifest=str(manifest.resolve()))
    missing = [name for name in checkpoint.files if not (Path(checkpoint.uri) / name).is_file()]
    if missing and not is_mirrored(Path(checkpoint.uri)):  # a mirror's files are fetched when they are read, see `path`
        raise InputError(f"{checkpoint.uri}: {missing[0]} is in the manifest but not in the folder")
    return checkpoint


def read_intact(path: Path) -> Checkpoint:
    """Read a checkpoint and compare its files with its manifest: what was made of others is not to be reused for them.

    Raises:
        InputError: As `read_checkpoint`.
        GlobeError: A file is not what the manifest names.
    """
    checkpoint = read_checkpoint(path)
    have(Path(checkpoint.uri), checkpoint.files)
    return checkpoint


def open_model(path: Path) -> Checkpoint:
    """A checkpoint, or any folder of a Hugging Face model as one that nothing is known of, without hashing its weights.

    Raises:
        InputError: It is neither.
    """
    if not path.is_dir() or (path / MANIFEST_FILE).is_file():
        return read_checkpoint(path)
    _require_model(path)
    return Checkpoint(str(path.resolve()), "", base_model=path.name, recipe="", parent="", step=0)


def _require_model(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; give the folder of a Hugging Face model or of a checkpoint")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise InputError(f"{folder}: no weights (*.safetensors)")


def _read_manifest(path: Path) -> Checkpoint:
    """A manifest as it stands; what a newer version of this package wrote beside the known fields is left aside."""
    try:
        checkpoint = TypeAdapter(Checkpoint).validate_json(path.read_bytes(), strict=True)
        usable_prompt(checkpoint.prompt)
        return checkpoint
    except ValidationError as error:
        first = error.errors()[0]
        field_name = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path}: {field_name}{': ' if field_name else ''}{first['msg']}; this is no checkpoint's manifest"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: prompt: {error}") from None
