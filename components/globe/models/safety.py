"""A model's folder is data: one that would have code run, or pickles read, when it is loaded is refused before anything loads it.

The libraries that load a folder run code that comes with it when they are told to trust it, and ms-swift tells them so by itself.
So a folder may hold no Python, no JSON that names any (`auto_map`), and no weights but safetensors. Whatever lies in the folder
is looked at and not only what its manifest lists, for the libraries do not ask the manifest.

Chat templates are programs too. All that render them here (transformers, for ms-swift and for us, and vLLM) do so in Jinja's
sandbox, which lets no template out; `tests/contract/test_chat_templates.py` holds them to it.
"""

import json
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Never

from globe import storage
from globe.errors import InputError

CODE = (".py", ".pyc", ".pyd", ".so")
"""What Python imports."""
OTHER_WEIGHTS = (
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".msgpack"),
    *(".gguf", ".ggml", ".h5", ".hdf5", ".keras", ".onnx", ".pb", ".tflite", ".nemo"),
)
"""Weights that are no safetensors. Most are pickles, or formats with which a loader would pass over the safetensors."""
TRAINERS_STATE = (
    *("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth", "rng_state_*.pth", "training_args.bin"),
    "global_step*/*.pt",
)
"""What a trainer leaves in its own checkpoint beside the model, to resume from. No loader of models opens it."""
ADAPTER_FILE = "adapter_config.json"
OTHER_TEMPLATE = "additional_chat_templates/default.jinja"
"""A tokenizer takes it in place of its own template, and no manifest lists it."""
TOKENIZER_DATA = ("tokenizer.json", "vocab.json", "added_tokens.json")
"""Megabytes of words: worth reading here, not worth fetching from S3 before a run."""
LARGEST_JSON = 64 * 2**20
"""Bytes; a tokenizer of 260,000 words takes about half."""


def check_model_folder(folder: Path) -> None:
    """Check that loading a model's folder runs none of its content; reads no weights.

    Raises:
        InputError: It would, or this cannot be told; names the file, and what to do.
    """
    files = list(_files(folder))
    for path in files:
        _check_name(path.relative_to(folder).as_posix(), folder)
    for path in files:
        if path.suffix.lower() == ".json":
            _check_json(path, _content(path))


def check_model_place(place: str) -> None:
    """Check a model's folder before a run, wherever it lies: on S3 by the names of its files and its configuration alone.

    What is not looked at here is when the folder has been fetched.

    Raises:
        InputError: As `check_model_folder`.
    """
    if not storage.address_of(place) and not storage.is_mirrored(Path(place)):
        check_model_folder(Path(place))
        return
    root = place.rstrip("/")
    names = storage.names_in(root)
    for name in names:
        _check_name(name, root)
    for name in names:
        if name.endswith(".json") and "/" not in name and name not in TOKENIZER_DATA:
            _check_json(f"{root}/{name}", storage.read_text(f"{root}/{name}"))


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder. A link to a file counts as the file: a model hub's cache consists of such links."""

    def unseen(error: OSError) -> None:
        _refuse(error.filename, f"cannot be looked into ({error.strerror})", "give a whole folder that this user may read")

    for place, folders, names in os.walk(folder, onerror=unseen):
        for name in sorted(folders):
            if (Path(place) / name).is_symlink():
                _refuse(Path(place) / name, "is a link to a folder, which is not followed", "put the folder itself there")
        for path in sorted(Path(place) / name for name in names):
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                _refuse(path, "is no ordinary file", "remove it")
            yield path


def _check_name(name: str, folder: Path | str) -> None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in CODE:
        _refuse(
            f"{folder}/{name}",
            "is code, and a model is loaded as data only",
            "remove it, or give a model of a class that transformers has itself (such as OpenGVLab/InternVL3-8B-hf)",
        )
    if suffix in OTHER_WEIGHTS and not any(fnmatchcase(name, pattern) for pattern in TRAINERS_STATE):
        _refuse(
            f"{folder}/{name}",
            "may be weights in another format than safetensors",
            "remove it if the weights are there as safetensors too, or save them as such (model.save_pretrained)",
        )
    if name == OTHER_TEMPLATE:
        _refuse(f"{folder}/{name}", "would take the place of the model's own chat template", "remove it")
    if name == ADAPTER_FILE:
        _refuse(
            f"{folder}/{name}",
            "makes transformers load an adapter, and whatever that names",
            "give the model that the adapter is merged into",
        )


def _content(path: Path) -> str:
    """The text that the libraries read, or none at all: they read UTF-8 only."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            _refuse(path, f"is larger than any configuration (over {LARGEST_JSON >> 20} MiB)", "remove it")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        _unreadable(path)
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror})", "give a whole folder that this user may read")


def _check_json(where: Path | str, text: str) -> None:
    """Look at every key at any depth, those too that a later one of the same name hides."""

    def entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, value in pairs:
            _check_entry(where, key, value)
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=entries)
    except (ValueError, RecursionError):
        _unreadable(where)


def _check_entry(where: Path | str, key: str, value: Any) -> None:
    if key == "auto_map" and not isinstance(value, int):  # a number is the place of this word in a vocabulary
        _refuse(
            where,
            "names code (auto_map), and a model is loaded as data only",
            "remove that entry, or give a model of a class that transformers has itself (such as OpenGVLab/InternVL3-8B-hf)",
        )
    if key == "weight_map" and isinstance(value, dict):
        for file in value.values():
            if not isinstance(file, str) or "/" in file or not file.endswith(".safetensors"):
                _refuse(where, f"names {str(file)[:100]!r} as weights", "give the model as safetensors, all in its own folder")


def _unreadable(where: Path | str) -> Never:
    _refuse(where, "cannot be read as JSON in UTF-8, so what it makes a loader do is not known", "mend or remove it")


def _refuse(where: Path | str, what: str, remedy: str) -> Never:
    raise InputError(f"{where}: {what}; {remedy}")
