"""Inputs that a user names by address: a model, photos, a table, a dataset. They are mirrored name for name.

A mirrored file's modification time is its object's, with the object's version in the digits below a second: so it tells whether
the file is still what lies in the bucket, and is the same on every machine.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from globe.errors import GlobeError, InputError
from globe.storage.bucket import Found, listing
from globe.storage.contents import is_verified
from globe.storage.effort import Effort, NotThere
from globe.storage.transfer import Fetching, fetch
from globe.storage.trees import files_below
from globe.storage.uris import Uri, check_name, input_mirror

Wanted = Callable[[Collection[str]], Collection[str]]
"""Picks, from the names of all files in a folder, those to bring; the rest wait until they are read."""


def fetch_input(uri: Uri, effort: Effort, wanted: Wanted = set, sha256: Mapping[str, str] | None = None) -> Path:
    """Mirror an object, or objects below a prefix; mirrored files whose objects are gone are removed.

    Args:
        uri: The object or prefix.
        effort: How hard to try.
        wanted: Which objects below a prefix to bring, by name relative to it; all by default.
        sha256: What files must be, by the same names, where the caller knows.

    Returns:
        The mirrored file or folder.

    Raises:
        InputError: Nothing lies there, or not all that the caller knows of, or a name is no fit for a file.
        GlobeError: A file is not what the caller knows it to be, or changed while it was fetched.
    """
    found = _found(uri, effort)
    if not found:
        raise NotThere(f"{uri}: nothing there; check the name")
    known = sha256 or {}
    gone = sorted(set(known) - set(found))
    if gone:
        raise InputError(f"{uri}: {gone[0]} is in the manifest but not there; send it again")
    names = set(found) if "" in found else set(wanted(found.keys()))
    files = {name: file for name in sorted(names) if not _is_current(file := _fetching(found[name], known.get(name, "")))}
    if files:
        fetch(list(files.values()), effort)
        now = _found(uri, effort)
        changed = next((name for name in files if now.get(name) != found[name]), None)
        if changed is not None:
            raise GlobeError(f"{found[changed].uri}: changed while it was fetched; start again")
    target = input_mirror(uri)
    for path in list(files_below(target)) if "" not in found else []:
        if path.relative_to(target).as_posix() not in found:
            path.unlink()
    return target


def state_of(uri: Uri, effort: Effort) -> tuple[int, int]:
    """Size of an object in bytes, and the modification time of its mirrored file in nanoseconds, which tells its version.

    Raises:
        NotThere: No such object.
    """
    found = _found(uri, effort).get("")
    if found is None:
        raise NotThere(f"{uri}: nothing there; check the name")
    return found.size, _fetching(found, "").mtime_ns


def _found(uri: Uri, effort: Effort) -> dict[str, Found]:
    """The objects below a prefix by name relative to it; an object at the very address has no name."""
    listed = {one.uri.key[len(uri.key) :].removeprefix("/") if uri.key else one.uri.key: one for one in listing(uri, effort)}
    # A bucket browser leaves empty objects for its "folders".
    return {name and check_name(name, uri): one for name, one in listed.items() if not one.uri.key.endswith("/")}


def _fetching(found: Found, sha256: str) -> Fetching:
    version = int.from_bytes(found.version.encode()[:12].rjust(12, b"0"), "big") % 1_000_000_000
    return Fetching(found.uri, input_mirror(found.uri), found.size, sha256, found.modified_s * 1_000_000_000 + version)


def _is_current(file: Fetching) -> bool:
    try:
        state = file.path.stat()
    except OSError:
        return False
    if (state.st_size, state.st_mtime_ns) != (file.size, file.mtime_ns):
        return False
    if file.sha256 and not is_verified(file.path, file.sha256, file.size):
        raise GlobeError(f"{file.uri}: is not the file that the manifest names (sha256 {file.sha256[:12]}...)")
    return True
