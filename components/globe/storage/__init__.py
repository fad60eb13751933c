"""Where results and inputs lie: in folders, or on S3 with a mirror on this machine.

For whoever reads:
    open_store      the folder to work with for a store: `s3://bucket/prefix` becomes the folder of its mirror
    fetch           bring an input that a user named, or a stage's record, up to date: the bucket decides
    have            have a file or folder here, whole and checked, before it is read
    read_record, require_files          a finished stage's record, and the files that it lists, checked
    agree           the same, but where a record says enough, nothing is fetched for it
    exists, read_text, names_in, check_access     look at an address or a path without fetching it
    mirror_of, open_ranges, state_of    the same for an object that is too large to fetch: where it would lie, its bytes here and
                                        there, its size and version

For whoever writes:
    write_text, send_folder             a file, a folder
    remove_file                         what `write_text` wrote
    keeping, publish, sign, unsent, forget
                                        a stage's unfinished and finished work (see `globe.run.stage`)

And paths: `address_of`, `is_mirrored`, `stored_at` say what a path or text stands for, `portable` and `located` write it into a
record that stays true when the store moves. For a store that is a folder all of these work on it, and S3's client is not loaded.

This room moves bytes and knows no format: callers that do say which files they want. It knows one kind of folder, a stage's, with
its record `result.json`. Paths that one task hands to the next stay valid on every machine that has the same `GLOBE_SCRATCH`.

A transfer is patient (`GLOBE_S3_PATIENCE_S` without an answer) and says what it waits for. Files that arrived stay; one that was
under way when its process was killed is transferred again from its beginning.

How S3 is reached, and with which credentials, the environment says: `VARIABLES` has all that is read there.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from globe.errors import GlobeError, InputError
from globe.files import write_atomically
from globe.storage import bucket, finished, inputs, results
from globe.storage.contents import is_verified
from globe.storage.effort import PATIENCE_VARIABLE, Effort, Passing
from globe.storage.finished import RESULT_FILE, is_stage_folder, read_record, require_files
from globe.storage.inputs import Wanted
from globe.storage.keeper import INTERVAL_VARIABLE, keeping
from globe.storage.ranges import RangeFile
from globe.storage.results import files_of, forget, publish, sign, unsent
from globe.storage.s3 import S3_KEYS, S3_VARIABLES
from globe.storage.transfer import send
from globe.storage.trees import files_below
from globe.storage.uris import (
    SCRATCH_VARIABLE,
    Uri,
    address_of,
    input_mirror,
    located,
    make_scratch,
    parse,
    place_of,
    portable,
    store_mirror,
)

__all__ = [
    "RESULT_FILE",
    "S3_KEYS",
    "S3_VARIABLES",
    "SCRATCH_VARIABLE",
    "VARIABLES",
    "Effort",
    "RangeFile",
    "Wanted",
    "address_of",
    "agree",
    "check_access",
    "exists",
    "fetch",
    "files_of",
    "forget",
    "have",
    "is_mirrored",
    "is_stage_folder",
    "keeping",
    "located",
    "mirror_of",
    "names_in",
    "open_ranges",
    "open_store",
    "portable",
    "publish",
    "read_record",
    "read_text",
    "remove_file",
    "require_files",
    "send_folder",
    "sign",
    "state_of",
    "stored_at",
    "unsent",
    "write_text",
]

VARIABLES = (*S3_VARIABLES, SCRATCH_VARIABLE, PATIENCE_VARIABLE, INTERVAL_VARIABLE)
"""All of the environment that storage reads."""
CHECK_PATIENCE_S = 10.0
PROBE = ".globe-access"


def open_store(text: str | Path) -> Path:
    """The folder to work with for a store: the store itself, or the mirror of one on S3.

    Args:
        text: A folder, or `s3://bucket/prefix`.

    Raises:
        InputError: The address is malformed, or the mirrors' folder cannot be used.
    """
    uri = address_of(text)
    if uri is None:
        return Path(text)
    mirror = store_mirror(uri)
    make_scratch()
    mirror.mkdir(parents=True, exist_ok=True)
    return mirror


def fetch(place: str | Path, wanted: Wanted = set) -> str:
    """Bring what lies on S3 up to date on this machine: the bucket decides, not what is here.

    Args:
        place: An input, as `s3://bucket/key` of a file or of all that lies below it, or as the path of its mirror; or a stage's
            folder in a mirrored store: that brings its record, or removes it here when the stage is not finished.
            Anything else, such as the user's own folder or a name like "toy", is handed back.
        wanted: Picks, from the names of all files in a folder, those to bring; the rest wait until `have` is asked for them.

    Returns:
        A path on this machine, the same on every other one. What is here already and unchanged is not fetched again.

    Raises:
        InputError: Nothing lies there, or it cannot be reached.
        GlobeError: What lies there is damaged.
    """
    address, known, stage = address_of(place), place_of(Path(place)), results.stage_folder_of(Path(place))
    if stage:
        make_scratch()
        results.refresh(stage, wanted, Effort())
    elif uri := address or (known.uri if known and known.kind == "inputs" else None):
        make_scratch()
        return str(inputs.fetch_input(uri, Effort(), wanted))
    return str(place)


def have(path: Path, sha256: Mapping[str, str] | None = None) -> Path:
    """Have a file, or all of a folder, on this machine before it is read; only what is missing or damaged is fetched.

    What belongs to a finished stage's result is compared with its record, in a store of either kind.

    Args:
        path: Any path; one outside all stores is only compared with what the caller knows of it.
        sha256: What files must be, by name relative to the path, where the caller knows.

    Returns:
        The path.

    Raises:
        GlobeError: It is gone, damaged, or not what the caller knows it to be.
    """
    place, stage = place_of(path), results.stage_folder_of(path)
    if stage:
        make_scratch()
        results.have(stage, path, sha256 or {}, Effort())
    elif place and place.kind == "inputs":
        make_scratch()
        inputs.fetch_input(place.uri, Effort(), sha256=sha256)
    elif not place:
        if folder := finished.finished_folder_of(path):
            finished.have(folder, path, sha256 or {})
        for name, digest in (sha256 or {}).items():
            file = path / name
            if not file.is_file() or not is_verified(file, digest, file.stat().st_size):
                raise GlobeError(
                    f"{file}: is not the file that the manifest names (sha256 {digest[:12]}...): it is damaged, or was changed"
                )
    return path


def agree(path: Path, sha256: Mapping[str, str]) -> None:
    """Check that a folder holds the files that the caller knows, without fetching any: what is on S3 is checked when it is read.

    Args:
        path: The folder.
        sha256: What its files must be, by name.

    Raises:
        GlobeError: One is not.
    """
    stage = results.stage_folder_of(path)
    if stage:
        results.agree(stage, path, sha256, Effort())
    elif not place_of(path):
        have(path, sha256)


def is_mirrored(path: Path) -> bool:
    """Whether a path mirrors something on S3, so that it may have to be fetched first."""
    return place_of(path) is not None


def stored_at(text: str | Path) -> str:
    """Where a path's content really lies: its address on S3 if it mirrors one, else the text as it is."""
    place = place_of(Path(text))
    return str(results.stored_at(Path(text)) or place.uri) if place else str(text)


def mirror_of(text: str | Path) -> Path:
    """Where on this machine a file of S3 lies once it is fetched; a path is returned as it is."""
    uri = address_of(text)
    return input_mirror(uri) if uri else Path(text)


def open_ranges(path: str | Path) -> RangeFile:
    """Open an object that is read by ranges where it lies.

    Args:
        path: The path of a mirrored object, or its address.

    Raises:
        InputError: There is none.
    """
    remote = _remote(path)
    if remote is None:
        raise InputError(f"{path}: is not on S3")
    return RangeFile(remote, Effort())


def state_of(path: str | Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds since 1970 of a file, mirrored or not, without fetching it.

    Raises:
        InputError: There is none on S3.
        OSError: There is none here.
    """
    remote = _remote(path)
    if remote:
        return inputs.state_of(remote, Effort())
    state = Path(path).stat()
    return state.st_size, state.st_mtime_ns


def exists(uri: str | Path) -> bool:
    """Whether something lies at an address or path: an object, anything below a prefix, a file or a folder."""
    remote = _remote(uri)
    return bucket.exists(remote, Effort()) if remote else Path(uri).exists()


def read_text(uri: str | Path) -> str:
    """The text of an object or file.

    Raises:
        InputError: There is none.
    """
    remote = _remote(uri)
    try:
        text = bucket.read_text(remote, Effort()) if remote else Path(uri).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{uri}: cannot be read ({error.strerror})") from None
    if text is None:
        raise InputError(f"{remote}: nothing there")
    return text


def names_in(uri: str | Path) -> list[str]:
    """Names of the files in a folder or below a prefix, deeper ones with their folders, sorted; none if it is not there."""
    remote = _remote(uri)
    if remote:
        start = f"{remote.key}/" if remote.key else ""
        names = [found.uri.key for found in bucket.listing(remote, Effort())]
        return sorted(name.removeprefix(start) for name in names if name.startswith(start))
    folder = Path(uri)
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def write_text(uri: str | Path, text: str, patience_s: float | None = None) -> None:
    """Write a text whole: a reader sees the old one or the new one.

    Args:
        uri: `s3://bucket/key`, a path below a store's mirror (such as STORE/promoted.json), or a path; folders are made.
        text: The content.
        patience_s: How long the bucket may stay without an answer, where that is less than elsewhere.
    """
    remote = _remote(uri)
    if remote:
        usual = Effort()
        bucket.write(remote, text, usual if patience_s is None else Effort(patience_s=min(patience_s, usual.patience_s)))
    if address_of(uri) is None:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(uri), text)


def remove_file(uri: str | Path) -> None:
    """Remove a file or object; it may be gone already."""
    remote = _remote(uri)
    if remote:
        bucket.delete(remote, Effort())
    if address_of(uri) is None:
        Path(uri).unlink(missing_ok=True)


def send_folder(folder: Path, uri: str, *, last: str) -> None:
    """Send a folder's files to a prefix on S3, under their own names.

    Args:
        folder: The folder.
        uri: `s3://bucket/prefix`.
        last: Name of the file that says that all are there; sent when they are.
    """
    files = {parse(uri) / path.relative_to(folder).as_posix(): path for path in files_below(folder)}
    for is_last in (False, True):
        send({target: path for target, path in files.items() if (path.name == last) == is_last}, Effort())


def check_access(uri: str | Path, *, write: bool = False) -> None:
    """Check cheaply that a run can use an address or a path.

    Args:
        uri: What to check.
        write: It is to be written to, as a store is: then it need not exist, and on S3 a small object is written and removed.

    Raises:
        InputError: One line: no such bucket or key, no or refused credentials, no answer, no right to write.
    """
    remote = _remote(uri)
    if remote is None:
        return _check_folder(Path(uri), write)
    effort = Effort(lambda text: None, CHECK_PATIENCE_S)
    try:
        there = bucket.exists(remote, effort)
        if write:
            probe = remote / f"{PROBE}-{os.getpid()}"
            bucket.write(probe, "", effort)
            bucket.delete(probe, effort)
    except Passing as error:
        raise InputError(f"{error}; check AWS_ENDPOINT_URL and the network") from None
    if not there and not write:
        raise InputError(f"{remote}: nothing there; check the name")


def _check_folder(path: Path, write: bool) -> None:
    if not write:
        if not os.access(path, os.R_OK):
            raise InputError(f"{path}: {'cannot be read' if path.exists() else 'no such file or folder'}")
        return
    nearest = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written to ({nearest} is no folder or not ours)")


def _remote(uri: str | Path) -> Uri | None:
    place = place_of(Path(uri))
    return address_of(uri) or (place.uri if place else None)
