"""Where results and inputs lie: folders, or S3 with a mirror on this machine.

A store is a folder or `s3://bucket/prefix`; `open_store` turns either into a path, and stages need not know which it was. Paths
in records are those of `portable`: they lead to the same thing after a move and on any machine. Paths that one task hands to the
next stay valid on every machine that has the same `GLOBE_SCRATCH`. Whoever reads a weight or a shard calls `ensure` first.

Credentials come from the environment only (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN or what the S3 client's
own chain finds there), the endpoint from AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, the region from AWS_REGION or
AWS_DEFAULT_REGION. `VARIABLES` has them all, and our own.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from globe.errors import GlobeError, InputError
from globe.files import write_atomically
from globe.storage import inputs, results, s3
from globe.storage.keeper import INTERVAL_VARIABLE, WHOLE_FILE, keeping
from globe.storage.portable import located, portable
from globe.storage.results import RESULT_FILE, forget, publish, refresh, unsent
from globe.storage.s3 import PATIENCE_VARIABLE, S3_KEYS, S3_VARIABLES, Effort
from globe.storage.transfer import Sending, send
from globe.storage.trees import files_below, is_verified
from globe.storage.uris import SCRATCH_VARIABLE, Uri, address_of, make_scratch, parse, place_of, store_mirror

__all__ = [
    "RESULT_FILE",
    "S3_KEYS",
    "S3_VARIABLES",
    "SCRATCH_VARIABLE",
    "VARIABLES",
    "WHOLE_FILE",
    "Effort",
    "address_of",
    "bring",
    "check_access",
    "ensure",
    "exists",
    "fetch",
    "forget",
    "is_mirrored",
    "keeping",
    "located",
    "open_store",
    "portable",
    "publish",
    "read_text",
    "send_folder",
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


def fetch(uri: str) -> str:
    """An input that a user named: mirrored here when it lies on S3, handed back as it is otherwise.

    Args:
        uri: `s3://bucket/key` of a file or of all that lies below it, or anything else: a path, a name such as "toy".

    Returns:
        A path on this machine that is the same on every other one; `uri` itself when it is no S3 address. What is there already
        and unchanged is not fetched again. A dataset's shards wait until they are read.

    Raises:
        InputError: Nothing lies there, or it cannot be reached.
        GlobeError: A file is not what a manifest beside it says.
    """
    address = address_of(uri)
    if address is None:
        return uri
    make_scratch()
    return str(inputs.fetch_input(address, Effort()))


def ensure(path: Path, sha256: Mapping[str, str] | None = None) -> Path:
    """Have a file, or all of a folder, on this machine before it is read.

    Args:
        path: Any path; one outside the mirrors is only compared with what the caller knows of it.
        sha256: What files must be, by name relative to the path, where the caller knows.

    Returns:
        The path.

    Raises:
        GlobeError: It is gone, damaged, or not what the caller knows it to be.
    """
    place = place_of(path)
    if place is not None:
        make_scratch()
        if place.kind == "inputs":
            inputs.fetch_input(place.uri, Effort(), shards=True, sha256=sha256)
        elif results.stage_folder_of(path):
            results.ensure(path, sha256 or {}, Effort())
        return path
    for name, digest in (sha256 or {}).items():
        file = path / name
        if not file.is_file() or not is_verified(file, digest, file.stat().st_size):
            raise GlobeError(
                f"{file}: is not the file that the manifest names (sha256 {digest[:12]}...): it is damaged, or was changed"
            )
    return path


def is_mirrored(path: Path) -> bool:
    """Whether a path mirrors something on S3, so that it may have to be pulled first."""
    return place_of(path) is not None


def bring(path: Path) -> None:
    """Have what is small of what a path mirrors: a finished stage's record and files, an input without its shards."""
    place = place_of(path)
    stage = results.stage_folder_of(path)
    if stage or (place and place.kind == "inputs"):
        make_scratch()
    if stage:
        refresh(stage.folder)
    elif place and place.kind == "inputs":
        inputs.fetch_input(place.uri, Effort())


def stored_at(text: str | Path) -> str:
    """Where a path's content really lies: its address on S3 if it mirrors one, else the text as it is."""
    place = place_of(Path(text))
    if place is None:
        return str(text)
    return str((results.stored_at(Path(text)) if place.kind == "stores" else None) or place.uri)


def exists(uri: str | Path) -> bool:
    """Whether something lies at an address or path: an object, anything below a prefix, a file or a folder."""
    remote = _remote(uri)
    return _first_at(remote, Effort()) if remote else Path(uri).exists()


def read_text(uri: str | Path) -> str:
    """The text of an object or file.

    Raises:
        InputError: There is none.
    """
    remote = _remote(uri)
    if remote:
        return s3.get(remote, Effort()).decode("utf-8")
    try:
        return Path(uri).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{uri}: cannot be read ({error.strerror})") from None


def write_text(uri: str | Path, text: str) -> None:
    """Write a text whole: a reader sees the old one or the new one.

    Args:
        uri: `s3://bucket/key`, a path below a store's mirror (such as STORE/promoted.json), or a path; folders are made.
        text: The content.
    """
    remote = _remote(uri)
    if remote:
        kind = "application/json" if remote.key.endswith(".json") else "text/plain; charset=utf-8"
        s3.put(remote, text.encode(), Effort(), content_type=kind)
    if address_of(uri) is None:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(uri), text)


def send_folder(folder: Path, uri: str, *, last: str) -> None:
    """Send a folder's files to a prefix on S3, under their own names.

    Args:
        folder: The folder.
        uri: `s3://bucket/prefix`.
        last: Name of the file that says that all are there; sent when they are.
    """
    target, effort = parse(uri), Effort()
    files = [Sending(path, target / path.relative_to(folder).as_posix(), path.stat().st_size) for path in files_below(folder)]
    send([file for file in files if file.path.name != last], effort)
    send([file for file in files if file.path.name == last], effort)


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
        there = _first_at(remote, effort)
        if write:
            probe = remote / f"{PROBE}-{os.getpid()}"
            s3.put(probe, b"", effort)
            s3.delete(probe, effort)
    except s3.Passing as error:
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


def _first_at(uri: Uri, effort: Effort) -> bool:
    """Whether an address is an object or has one below it."""
    below = Uri(uri.bucket, f"{uri.key}/" if uri.key else "")
    return next(s3.listing(below, effort, limit=1), None) is not None or inputs.object_at(uri, effort) is not None
