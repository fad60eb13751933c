"""What a checkpoint is, and how to read one: the weights stay in their place, a small manifest travels and says what they are.

`globe.models.publish` makes one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from globe.answer.prompt import usable_prompt
from globe.errors import GlobeError, InputError
from globe.models.safety import check_model_folder
from globe.storage import have, is_mirrored, located

TINY = "tiny"
"""Name of the demo's model: real architecture, random weights, built on the spot."""
MANIFEST_FILE = "globe-checkpoint.json"
RADIUS_FILE = "globe-radius.json"
"""How far off the model's answers are, see `globe.evaluation.radius_file`; it may be added later, and is in no digest."""
BESIDE = (MANIFEST_FILE, RADIUS_FILE)
"""Files of ours in a model's folder, which no manifest lists."""
_LOADED = ("*.json", "*.jinja", "*.safetensors", "*.model", "*.tiktoken", "merges.txt", "vocab.txt")
"""Files that a loader may take into account when it finds them."""


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
    def described_in(self) -> Path:
        """The folder that `open_model` reads all of this from: the manifest's, or the model's own where there is none."""
        return Path(self.manifest).parent if self.manifest else Path(self.uri)

    @property
    def path(self) -> Path:
        """The model's folder, for whoever loads it; fetched first if it mirrors a folder on S3.

        Raises:
            InputError: Loading it would run code that lies in it, see `globe.models.safety`.
            GlobeError: Its files are not those of the manifest.
        """
        folder = have(Path(self.uri), self.files)
        self._check(folder)
        return folder

    def check_folder(self) -> None:
        """Check the folder for whoever loads it elsewhere, but no weights; a mirror of S3 is checked where it is fetched.

        Raises:
            InputError: As `path`.
            GlobeError: There are files that a loader would take for the model's.
        """
        folder = Path(self.uri)
        if folder.is_dir() and not is_mirrored(folder):
            self._check(folder)

    def _check(self, folder: Path) -> None:
        check_model_folder(folder)
        if self.files:
            _require_no_others(folder, self.files)

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


def open_model(path: Path) -> Checkpoint:
    """Read a checkpoint, or take any Hugging Face model's folder as one without a history; no weights are hashed.

    Raises:
        InputError: The folder is neither, or loading it would run code that lies in it.
        GlobeError: There are files that a loader would take for the checkpoint's.
    """
    if not path.is_dir() or (path / MANIFEST_FILE).is_file():
        checkpoint = read_checkpoint(path)
        checkpoint.check_folder()
        return checkpoint
    require_model_files(path)
    return Checkpoint(str(path.resolve()), "", base_model=path.name, recipe="", parent="", step=0)


def require_model_files(folder: Path) -> None:
    """Check that a folder has the files of a Hugging Face model, and that loading them runs no code.

    Raises:
        InputError: It has not, or would; see `globe.models.safety`.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; give the folder of a Hugging Face model or of a checkpoint")
    check_model_folder(folder)
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder}: no weights (*.safetensors)")


def _require_no_others(folder: Path, files: Mapping[str, str]) -> None:
    """Check that nothing was put beside a checkpoint's files that a loader would take for one of them."""
    for path in sorted(folder.iterdir()):
        if path.name not in (*files, *BESIDE) and any(fnmatch(path.name, pattern) for pattern in _LOADED) and path.is_file():
            raise GlobeError(
                f"{path}: is not among the files that the manifest names, and whoever loads the model would read it; "
                "remove it, or make a new checkpoint of the folder"
            )


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
