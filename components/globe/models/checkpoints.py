"""What a checkpoint is, and how to read one: the weights stay in their place, a small manifest travels and says what they are.

`globe.models.publish` makes one.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from globe.answer.prompt import usable_prompt
from globe.errors import GlobeError, InputError
from globe.storage import have, is_mirrored, located

TINY = "tiny"
"""Name of the demo's model: real architecture, random weights, built on the spot."""
MANIFEST_FILE = "globe-checkpoint.json"
RADIUS_FILE = "globe-radius.json"
"""How far off the model's answers are, see `globe.evaluation.radius_file`; it may be added later, and is in no digest."""


LOADED_SUFFIXES = {".json", ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".jinja", ".txt", ".model", ".py"}
"""Of files that transformers, ms-swift or vLLM may read by themselves from a model's folder."""


@dataclass(frozen=True)
class Usage:
    """How a model is asked and served: what its weights alone do not say."""

    prompt: str = ""
    """The user turn's text that it was trained with; empty for the default, `globe.answer.prompt.PROMPT`."""
    serving: dict[str, Any] = field(default_factory=dict)
    """Values of the serving recipe of the run that made it; empty if that named none."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Values of that run's evaluation recipe, apart from the gate's, which say how to judge and not how to ask."""

    def over(self, parent: "Usage") -> "Usage":
        """This usage, completed with the parent's values."""
        return Usage(self.prompt or parent.prompt, self.serving or parent.serving, self.evaluation or parent.evaluation)


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that transformers, ms-swift and vLLM can load."""

    uri: str
    manifest: str
    """Path of the manifest: beside the weights, or in a stage's folder if the weights are in a user's own."""
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
    """These three are its `Usage`. They are not part of the digest, since they change no weight."""

    @property
    def usage(self) -> Usage:
        """How it is asked and served."""
        return Usage(self.prompt, self.serving, self.evaluation)

    @property
    def path(self) -> Path:
        """The model's folder, once its files agree with the manifest; fetched first if it mirrors a folder on S3."""
        folder = have(Path(self.uri), self.files)
        require_nothing_added(folder, self.files)
        return folder

    @property
    def digest(self) -> str:
        """Identifies the content of all files, wherever they lie."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint from its folder or its manifest and check that its files are there.

    Raises:
        InputError: There is no manifest, it cannot be read, or a file that it lists is missing.
    """
    manifest = path / MANIFEST_FILE if path.is_dir() else path
    if not path.exists():
        raise InputError(f"{path}: no such folder; give that of a checkpoint")
    if not manifest.is_file():
        raise InputError(f"{path}: no {MANIFEST_FILE}; this is no finished checkpoint")
    checkpoint = _read_manifest(manifest)
    uri, written = (str(located(place, manifest.parent.resolve())) for place in (checkpoint.uri, checkpoint.manifest))
    checkpoint = replace(checkpoint, uri=uri, manifest=written)
    if (manifest.parent / "config.json").is_file():  # beside the model, which may have moved with it since it was written
        checkpoint = replace(checkpoint, uri=str(manifest.parent.resolve()), manifest=str(manifest.resolve()))
    missing = [name for name in checkpoint.files if not (Path(checkpoint.uri) / name).is_file()]
    if missing and not is_mirrored(Path(checkpoint.uri)):  # a mirror's files are fetched when they are read, see `path`
        raise InputError(f"{checkpoint.uri}: {missing[0]} is in the manifest but not in the folder")
    return checkpoint


def read_intact(path: Path) -> Checkpoint:
    """Read a checkpoint and compare its files with its manifest, so that no result is reused for weights it was not made from.

    Raises:
        InputError: As `read_checkpoint`.
        GlobeError: A file differs from what the manifest says.
    """
    checkpoint = read_checkpoint(path)
    _ = checkpoint.path
    return checkpoint


def require_nothing_added(folder: Path, files: Collection[str]) -> None:
    """Refuse a checkpoint's folder with a file that its manifest does not name and that whoever loads the model would read.

    Raises:
        GlobeError: There is one.
    """
    known = {*files, MANIFEST_FILE, RADIUS_FILE}
    added = sorted(path.name for path in folder.glob("*") if path.suffix in LOADED_SUFFIXES and path.name not in known)
    if files and added:
        raise GlobeError(f"{folder}: {added[0]} is not in the manifest: it was added later; remove it")


def open_model(path: Path) -> Checkpoint:
    """Read a checkpoint, or take any Hugging Face model's folder as one without a history; no weights are hashed.

    Raises:
        InputError: The folder is neither.
    """
    if not path.is_dir() or (path / MANIFEST_FILE).is_file():
        return read_checkpoint(path)
    require_model_files(path)
    return Checkpoint(str(path.resolve()), "", base_model=path.name, recipe="", parent="", step=0)


def require_model_files(folder: Path) -> None:
    """Check that a folder has the files of a Hugging Face model, whatever is in them.

    Raises:
        InputError: It has not.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; give the folder of a Hugging Face model or of a checkpoint")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise InputError(f"{folder}: no weights (*.safetensors)")


def _read_manifest(path: Path) -> Checkpoint:
    """The manifest's content; fields that a newer version of this package may have added are ignored."""
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
