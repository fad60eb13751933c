"""Inputs that a user names by address: a model, photos, a table with its pictures, a dataset, a checkpoint.

They are mirrored name for name. A mirrored file's modification time is its object's, with the object's version in the digits
below a second: so it tells whether the file is still what lies in the bucket, and is the same on every machine.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from globe.errors import GlobeError, InputError
from globe.storage import s3
from globe.storage.s3 import Effort, Listed
from globe.storage.transfer import Fetching, fetch
from globe.storage.trees import files_below, is_verified
from globe.storage.uris import Uri, check_name, input_mirror

CHECKPOINT_MANIFEST = "globe-checkpoint.json"
DATASET_MANIFEST = "manifest.json"
SHARD_SUFFIX = ".parquet"
TABLE_SUFFIXES = (".csv", ".tsv")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def fetch_input(uri: Uri, effort: Effort, *, shards: bool = False, sha256: Mapping[str, str] | None = None) -> Path:
    """Mirror an object, or all objects below a prefix.

    Args:
        uri: The object or prefix. A table brings the pictures that lie beside it.
        effort: How hard to try.
        shards: Fetch a dataset's shards as well; else they wait until they are read, and their manifest stands for them.
        sha256: What files must be, by name relative to the address, where the caller knows.

    Returns:
        The mirrored file or folder.

    Raises:
        InputError: Nothing lies there, or not all that a manifest names, or a name is no fit for a file.
        GlobeError: A file is not what a manifest beside it, or the caller, says.
    """
    exact = object_at(uri, effort)
    found = _with_pictures(exact, effort) if exact else _below(uri, effort)
    if not found:
        raise s3.NotThere(f"{uri}: nothing there; check the name")
    known = dict(sha256 or {}) or _manifest_of(uri, found, effort)
    gone = sorted(set(known) - set(found))
    if gone:
        raise InputError(f"{uri}: {gone[0]} is in the manifest but not there; publish the checkpoint again")
    wanted = [(name, listed) for name, listed in found.items() if shards or not _can_wait(name, found)]
    files = [_fetching(listed, known.get(name, "")) for name, listed in wanted]
    fetch([file for file in files if not _is_current(file)], effort)
    target = input_mirror(uri)
    if not exact:
        _remove_others(target, set(found))
    return target


def object_at(uri: Uri, effort: Effort) -> Listed | None:
    """The object at an address, None if there is none."""
    first = next(s3.listing(uri, effort, limit=1), None) if uri.key else None
    return first if first and first.uri == uri else None


def _with_pictures(found: Listed, effort: Effort) -> dict[str, Listed]:
    folder, _, name = found.uri.key.rpartition("/")
    beside = _below(Uri(found.uri.bucket, folder), effort) if name.endswith(TABLE_SUFFIXES) else {}
    return {name: found} | {name: one for name, one in beside.items() if name.lower().endswith(PICTURE_SUFFIXES)}


def _below(uri: Uri, effort: Effort) -> dict[str, Listed]:
    prefix = Uri(uri.bucket, f"{uri.key}/" if uri.key else "")
    listed = {one.uri.key.removeprefix(prefix.key): one for one in s3.listing(prefix, effort)}
    # A browser of buckets leaves empty objects for its "folders".
    return {check_name(name, prefix): one for name, one in listed.items() if name and not name.endswith("/")}


def _can_wait(name: str, found: Mapping[str, Listed]) -> bool:
    folder = name.rpartition("/")[0]
    return name.endswith(SHARD_SUFFIX) and (f"{folder}/{DATASET_MANIFEST}" if folder else DATASET_MANIFEST) in found


def _manifest_of(uri: Uri, found: Mapping[str, Listed], effort: Effort) -> dict[str, str]:
    """What a checkpoint's manifest in a folder says about the files beside it; nothing when it stands for one elsewhere."""
    manifest = uri / CHECKPOINT_MANIFEST
    if CHECKPOINT_MANIFEST not in found or found[CHECKPOINT_MANIFEST].uri != manifest:
        return {}
    try:
        files = json.loads(s3.get(manifest, effort))["files"]
        known = {str(name): str(sha256) for name, sha256 in files.items()}
    except (ValueError, AttributeError, KeyError, TypeError):
        raise InputError(f"{manifest}: is no checkpoint's manifest; remove it or publish the checkpoint again") from None
    return known if set(known) & set(found) else {}


def _fetching(listed: Listed, sha256: str) -> Fetching:
    version = int.from_bytes(listed.etag.encode()[:12].rjust(12, b"0"), "big") % 1_000_000_000
    mtime_ns = listed.modified_s * 1_000_000_000 + version
    return Fetching(listed.uri, input_mirror(listed.uri), listed.size, sha256, listed.etag, mtime_ns)


def _is_current(file: Fetching) -> bool:
    try:
        state = file.path.stat()
    except OSError:
        return False
    if state.st_size != file.size or state.st_mtime_ns != file.mtime_ns:
        return False
    if file.sha256 and not is_verified(file.path, file.sha256, file.size):
        raise GlobeError(f"{file.uri}: is not the file that the manifest names (sha256 {file.sha256[:12]}...)")
    return True


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove mirrored files whose objects are gone."""
    for path in list(files_below(folder)):
        if path.relative_to(folder).as_posix() not in names:
            path.unlink()
