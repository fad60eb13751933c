"""A checkpoint as an OCI image: its files below /models, for an image volume, and for KServe's `oci+native`.

Weights are a layer each, as a plain tar: they do not compress, and what is not packed is not unpacked. Everything else is one
layer, so that two checkpoints of one model share what they have in common. The same files make the same image, wherever and
whenever: times, owners and paths are not in it, and nor is where the checkpoint came from.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError
from globe.files import json_text
from globe.models.checkpoints import MANIFEST_FILE, RADIUS_FILE, Checkpoint
from globe.models.weights import require_whole_files
from globe.storage import is_mirrored

FOLDER = "models"
"""Where KServe looks."""
LARGE_BYTES = 16 << 20
"""A file from this size on is a layer of its own."""
PIECE_BYTES = 4 << 20
FILES_AT_ONCE = 4
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Blob:
    """A part of an image, which is read again each time it is sent."""

    size: int
    digest: str
    """As sha256:HEX."""
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Image:
    """A checkpoint's image."""

    blobs: tuple[Blob, ...]
    """Layers and configuration."""
    manifest: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What a manifest of a cluster names the image by."""
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    path: Path | None = None
    content: bytes = b""

    def read(self) -> Iterator[bytes]:
        if self.path is None:
            yield self.content
            return
        left = self.size
        with self.path.open("rb") as file:
            while left and (piece := file.read(min(PIECE_BYTES, left))):
                left -= len(piece)
                yield piece
        if left:
            raise GlobeError(f"{self.path}: has become shorter while it was read")


def image_of(checkpoint: Checkpoint, architecture: str = "amd64") -> Image:
    """Read a checkpoint once, compare each file with its manifest, and describe its image.

    Args:
        checkpoint: The checkpoint; where a model's folder has no manifest, its weights must at least have their full length.
        architecture: Of the nodes that mount it: they take no image of another.

    Raises:
        InputError: Its folder may not be loaded, or holds no file, or one of its weights is cut short.
        GlobeError: A file is not the one that the manifest names.
    """
    files = _files(checkpoint)
    groups = [[one] for one in files if one.size >= LARGE_BYTES]
    small = [one for one in files if one.size < LARGE_BYTES]
    groups = [small, *groups] if small else groups
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:  # hashing holds no lock of Python's
        layers = list(pool.map(lambda group: _layer(group, checkpoint.files), groups))
    described = {"org.opencontainers.image.title": "GLOBE checkpoint", "dev.globe.checkpoint": checkpoint.digest}
    annotations = described if checkpoint.files else {}
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": annotations} if annotations else {},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    )
    configured = _blob_of(config)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(CONFIG_TYPE, configured),
        "layers": [_descriptor(LAYER_TYPE, layer) for layer in layers],
    }
    if annotations:
        manifest["annotations"] = annotations
    return Image((*layers, configured), _json(manifest), annotations)


def write_layout(image: Image, folder: Path, tag: str = "") -> None:
    """Write an image as an OCI layout, for whatever copies it on.

    Args:
        image: The image.
        folder: A new or empty folder.
        tag: The image's name there; empty for none.

    Raises:
        InputError: The folder holds something.
        GlobeError: A file has changed since the image was described; then this is no layout.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty; give a new folder for the layout")
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in (*image.blobs, _blob_of(image.manifest)):
        written = hashlib.sha256()
        with (blobs / blob.digest.removeprefix("sha256:")).open("wb") as file:
            for piece in blob.read():
                file.write(piece)
                written.update(piece)
        if f"sha256:{written.hexdigest()}" != blob.digest:
            raise GlobeError(f"{folder}: a file of the checkpoint has changed while it was written; nothing there is of use")
    named = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
    index = _descriptor(MANIFEST_TYPE, _blob_of(image.manifest)) | named
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [index]}))
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))  # the last: without it, it is no layout


def _files(checkpoint: Checkpoint) -> list[_File]:
    if is_mirrored(Path(checkpoint.uri)):
        folder = checkpoint.path
    else:  # without a look at the weights: they are compared while they are packed
        checkpoint.check_folder()
        folder = Path(checkpoint.uri)
    if not checkpoint.files:
        require_whole_files(folder)
    names = checkpoint.files or [path.name for path in folder.iterdir() if path.is_file() and path.name != MANIFEST_FILE]
    files = [_File(name, os.stat(folder / name).st_size, folder / name) for name in names]
    if checkpoint.files:
        places = {"uri": ".", "manifest": MANIFEST_FILE, "digest": checkpoint.digest}
        content = json_text(asdict(checkpoint) | places).encode()
        files.append(_File(MANIFEST_FILE, len(content), content=content))
        radius = Path(checkpoint.manifest).parent / RADIUS_FILE  # beside the manifest, wherever the weights are
        if radius.is_file() and RADIUS_FILE not in checkpoint.files:
            files.append(_File(RADIUS_FILE, radius.stat().st_size, radius))
    if not files:
        raise InputError(f"{folder}: holds no file")
    return sorted(files, key=lambda one: one.name)


def _layer(files: list[_File], expected: Mapping[str, str]) -> Blob:
    """A layer of some files, whose digest is found by reading them once, together with their own."""
    whole, size = hashlib.sha256(), 0
    for piece in _tar(files, expected):
        whole.update(piece)
        size += len(piece)
    return Blob(size, f"sha256:{whole.hexdigest()}", lambda: _tar(files, {}))


def _tar(files: list[_File], expected: Mapping[str, str]) -> Iterator[bytes]:
    yield _header(FOLDER, 0, tarfile.DIRTYPE, 0o755)
    total = tarfile.BLOCKSIZE
    for one in files:
        yield (header := _header(f"{FOLDER}/{one.name}", one.size, tarfile.REGTYPE, 0o644))
        digest = hashlib.sha256() if one.name in expected else None
        for piece in one.read():
            if digest:
                digest.update(piece)
            yield piece
        if digest and digest.hexdigest() != expected[one.name]:
            raise GlobeError(f"{one.path}: its sha256 is not the one in the checkpoint's manifest; nothing was published")
        padding = -one.size % tarfile.BLOCKSIZE
        yield bytes(padding)
        total += len(header) + one.size + padding
    yield bytes(2 * tarfile.BLOCKSIZE + -(total + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE)


def _header(name: str, size: int, kind: bytes, mode: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.mode = size, kind, mode
    return member.tobuf(tarfile.GNU_FORMAT)  # which has room for the size of any file, in one way


def _blob_of(content: bytes) -> Blob:
    return Blob(len(content), f"sha256:{hashlib.sha256(content).hexdigest()}", lambda: io.BytesIO(content))


def _descriptor(kind: str, blob: Blob) -> Descriptor:
    return {"mediaType": kind, "digest": blob.digest, "size": blob.size}


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
