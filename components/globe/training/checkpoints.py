"""Checkpoints as artifacts: the weights stay where they are, a small manifest travels and proves what they are."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from globe.errors import InputError
from globe.files import file_sha256
from globe.stage import write_json
from globe.storage import ensure, is_mirrored, located, portable

MANIFEST_FILE = "globe-checkpoint.json"


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

    @property
    def path(self) -> Path:
        """The model's folder; pulled first, and checked, where it mirrors one on S3."""
        return ensure(Path(self.uri), self.files)

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
        manifest_folder: Where the manifest goes; the model's own folder unless that is the user's.
        store: The store that the manifest's folder lies in, unless that is the model's own: both may lie there and move as one.

    Returns:
        The checkpoint.

    Raises:
        InputError: The folder is no model: it lacks `config.json` or weights.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; give the folder of a Hugging Face model")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise InputError(f"{folder}: no weights (*.safetensors)")
    files = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST_FILE}
    manifest = (manifest_folder or folder).resolve() / MANIFEST_FILE
    checkpoint = Checkpoint(str(folder.resolve()), str(manifest), base_model, recipe, parent, step, files)
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
    if not manifest.is_file():
        raise InputError(f"{path}: no {MANIFEST_FILE}; this is no finished checkpoint")
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        content.pop("digest", None)
        checkpoint = Checkpoint(**content)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{manifest}: is no checkpoint's manifest ({error}); give a checkpoint that a run has made") from None
    uri, written = (str(located(place, manifest.parent.resolve())) for place in (checkpoint.uri, checkpoint.manifest))
    checkpoint = replace(checkpoint, uri=uri, manifest=written)
    if (manifest.parent / "config.json").is_file():  # it lies beside the model, wherever both were when it was written
        checkpoint = replace(checkpoint, uri=str(manifest.parent.resolve()), manifest=str(manifest.resolve()))
    missing = [name for name in checkpoint.files if not (Path(checkpoint.uri) / name).is_file()]
    if missing and not is_mirrored(Path(checkpoint.uri)):  # a mirror's files are pulled when they are read, see `path`
        raise InputError(f"{checkpoint.uri}: {missing[0]} is in the manifest but not in the folder")
    return checkpoint
