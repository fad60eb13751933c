"""Single operations on a bucket, with patience: what may pass is tried again, what cannot is one clear line."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from globe.errors import GlobeError
from globe.storage import s3
from globe.storage.effort import Effort, NotThere, Passing, Stopped
from globe.storage.uris import Uri

MAX_PAUSE_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """An object as a listing tells it."""

    uri: Uri
    size: int
    version: str
    modified_s: int
    """When it was written, seconds since 1970."""


def keep_trying(call: Callable[[], T], uri: Uri, effort: Effort) -> T:
    """Call until it succeeds, fails for good, or nothing was heard from the server for as long as patience lasts.

    Args:
        call: What to do; it starts from the beginning each time.
        uri: What it is about, for the error.
        effort: How hard to try.

    Raises:
        GlobeError: One line that names the address; `InputError` where the user can mend it.
        OSError: The local file system's.
    """
    failed_s, pause_s = 0.0, 0.2
    while True:
        if effort.stop.is_set():
            raise Stopped(f"{uri}: called off")
        try:
            answer = call()
            effort.heard_s = time.monotonic()
            return answer
        except GlobeError:
            raise
        except Exception as error:
            failure = s3.told(error, uri)
        now = time.monotonic()
        failed_s = failed_s or now
        left_s = max(failed_s, effort.heard_s) + effort.patience_s - now
        if not isinstance(failure, Passing) or left_s <= 0:
            raise failure from None
        effort.tell(f"{failure}; trying for {left_s:.0f} s more")
        effort.stop.wait(min(pause_s, left_s))
        pause_s = min(pause_s * 1.7, MAX_PAUSE_S)


def exists(uri: Uri, effort: Effort) -> bool:
    """Whether an address is an object, or the prefix of one."""
    client = s3.client()

    def ask() -> Any:
        try:
            return client.info(uri.path)
        except FileNotFoundError:
            raise
        except OSError:
            client.ls(uri.path)  # the answer to the question before has no body; this one says why it is refused
            raise

    try:
        return bool(keep_trying(ask, uri, effort))
    except NotThere:
        return False


def listing(uri: Uri, effort: Effort) -> list[Found]:
    """The object at an address or, where there are any, the objects below it."""
    client = s3.client()
    found = keep_trying(lambda: client.find(uri.path, detail=True), uri, effort)
    return [Found(Uri.of_path(name), int(info["size"]), *s3.version_of(info)) for name, info in found.items()]


def read_text(uri: Uri, effort: Effort) -> str | None:
    """An object's text; None when there is no such object."""
    client = s3.client()
    try:
        return str(keep_trying(lambda: client.cat_file(uri.path), uri, effort), "utf-8", "replace")
    except NotThere:
        return None


def write(uri: Uri, text: str, effort: Effort, *, create: bool = False) -> None:
    """Write an object whole.

    Raises:
        Exists: `create` was asked for and the object exists.
        Unsupported: `create` was asked for and the server cannot do it.
    """
    client, mode = s3.client(), "create" if create else "overwrite"
    keep_trying(lambda: client.pipe_file(uri.path, text.encode(), mode=mode, **s3.write_options(uri)), uri, effort)


def delete(uri: Uri, effort: Effort) -> None:
    """Remove an object; one that is not there counts as removed."""
    client = s3.client()
    keep_trying(lambda: client.rm_file(uri.path), uri, effort)


def abandon_uploads(prefix: Uri, effort: Effort) -> None:
    """Drop what uploads that were killed have left hidden below a prefix."""
    keep_trying(lambda: s3.abandon_uploads(prefix), prefix, effort)
