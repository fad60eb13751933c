"""Publish a checkpoint: hash a finished model folder and write its manifest, last of all: without one it does not exist."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from globe.files import file_sha256, write_json
from globe.models.checkpoints import BESIDE, MANIFEST_FILE, Checkpoint, Usage, require_model_files
from globe.storage import portable

FILES_AT_ONCE = 8


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
    """Make a finished model folder a checkpoint.

    Args:
        folder: The model's folder.
        base_model: What training started from at the very beginning.
        recipe: Recipe that made it; empty for a base model.
        parent: Digest of the checkpoint it was trained from; empty for a base model.
        step: Optimiser steps since then.
        usage: How it is asked and served.
        manifest_folder: Where the manifest goes; the model's own folder by default. Nothing is written to a user's folder.
        store: The store that `manifest_folder` lies in: if the model lies there too, both can move with it.

    Returns:
        The checkpoint.

    Raises:
        InputError: The folder is not a model's: it lacks `config.json` or weights, or holds what no model of ours may.
    """
    require_model_files(folder)
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in BESIDE)
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:  # hashing holds no lock of Python's
        digests = list(pool.map(file_sha256, paths))
    files = {path.name: digest for path, digest in zip(paths, digests, strict=True)}
    manifest = (manifest_folder or folder).resolve() / MANIFEST_FILE
    checkpoint = Checkpoint(str(folder.resolve()), str(manifest), base_model, recipe, parent, step, files, **vars(usage))
    write_manifest(checkpoint, manifest, store or manifest.parent)
    return checkpoint


def write_manifest(checkpoint: Checkpoint, path: Path, root: Path) -> None:
    """Write a checkpoint's manifest.

    Args:
        checkpoint: The checkpoint.
        path: The file.
        root: Paths below this folder are written relative to the file, so that the folder can be moved as a whole.
    """
    places = {"uri": checkpoint.uri, "manifest": checkpoint.manifest}
    places = {name: portable(place, root, path.parent) for name, place in places.items()}
    write_json(path, asdict(checkpoint) | places | {"digest": checkpoint.digest})
