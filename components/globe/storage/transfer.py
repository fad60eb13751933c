"""Many files to a bucket and back, several at once, with bounded memory.

An object appears when all of it is sent, and a file when all of it is fetched and checked: it is fetched beside its target and
then renamed. A transfer that was killed, or that an outage interrupted, begins that file again, and no other.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from globe.errors import GlobeError
from globe.files import file_sha256
from globe.storage import s3
from globe.storage.bucket import keep_trying
from globe.storage.effort import NOTE_INTERVAL_S, Damaged, Effort
from globe.storage.uris import Uri, scratch

FILES_AT_ONCE = 8
PARTIAL = ".partial"

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Fetching:
    """One object to fetch."""

    uri: Uri
    path: Path
    size: int
    sha256: str = ""
    """What its bytes must hash to; empty where nobody knows."""
    mtime_ns: int = 0
    """Modification time that the file is given, nanoseconds since 1970; 0 leaves the present."""

    def is_met_by(self, path: Path) -> bool:
        """Whether a file has these bytes, as far as anybody knows."""
        return path.stat().st_size == self.size and (not self.sha256 or file_sha256(path) == self.sha256)


def send(files: Mapping[Uri, Path], effort: Effort) -> None:
    """Send files; returns when every one is stored.

    Raises:
        GlobeError: The first failure; files that were not begun by then stay unsent.
    """
    client, sizes = s3.client(), {uri: path.stat().st_size for uri, path in files.items()}
    meter = _Meter("sent", sizes, effort)
    in_parts = min(FILES_AT_ONCE, sum(size > s3.PART_BYTES for size in sizes.values()))

    def one(uri: Uri) -> None:
        options = s3.upload_options(sizes[uri], in_parts)
        keep_trying(lambda: client.put_file(str(files[uri]), uri.path, callback=meter.of(uri), **options), uri, effort)

    for_all(one, list(sizes), effort)


def fetch(files: Sequence[Fetching], effort: Effort) -> None:
    """Fetch objects; returns when every one is there, checked.

    Raises:
        Damaged: An object is not what its record promises.
        NotThere: An object is gone.
        GlobeError: The first other failure; files that were not begun by then stay unfetched.
    """
    meter = _Meter("fetched", {file.uri: file.size for file in files}, effort)

    def one(file: Fetching) -> None:
        try:
            _make_parent(file.path)
            with _partial(file.path) as partial:
                if _is_there(file):
                    partial.unlink()
                else:
                    _fetch_to(file, partial, meter, effort)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise GlobeError(f"{file.uri}: an object and a folder have the same name; rename one of them") from None
        except OSError as error:
            raise GlobeError(f"{file.path}: cannot be written ({error.strerror or error}); {file.size} bytes go there") from None

    for_all(one, files, effort)


def for_all(do: Callable[[Item], Answer], items: Sequence[Item], effort: Effort) -> list[Answer]:
    """Call a function for each item, several at once; after the first failure no other is begun."""
    with ThreadPoolExecutor(min(FILES_AT_ONCE, len(items) or 1)) as pool:
        futures = [pool.submit(do, item) for item in items]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            return [future.result() for future in futures]
        except BaseException as error:
            if not isinstance(error, Exception):  # such as Ctrl-C: what is under way need not end
                effort.stop.set()
            for future in futures:
                future.cancel()
            raise


class _Meter:
    """Tells how far a transfer is, if it takes long enough to ask."""

    def __init__(self, verb: str, sizes: Mapping[Uri, int], effort: Effort) -> None:
        self._verb, self._sizes, self._effort = verb, sizes, effort
        self._moved = dict.fromkeys(sizes, 0)
        self._started_s = self._last_s = time.monotonic()

    def of(self, uri: Uri) -> Any:
        """The client's callback for one try at a file: counts its bytes, and ends it when the work was called off."""
        from fsspec.callbacks import Callback

        def moved(size: int | None, value: int, **rest: object) -> None:
            self._moved[uri] = value
            self._effort.heard()
            self._tell()

        return Callback(hooks={"moved": moved})

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._last_s < NOTE_INTERVAL_S:
            return
        self._last_s = now
        moved, size = sum(self._moved.values()) / 1e6, sum(self._sizes.values()) / 1e6
        whole = sum(self._moved[uri] >= size > 0 for uri, size in self._sizes.items())
        amount = f"{moved:,.0f} of {size:,.0f} MB, {moved / (now - self._started_s):.0f} MB/s"
        self._effort.note(f"{self._verb} {whole} of {len(self._sizes)} files, {amount}")


def _make_parent(path: Path) -> None:
    """Make a target's folder, and refuse one that a link leads out of the mirrors."""
    real = Path(os.path.realpath(path.parent))
    if path.is_relative_to(scratch()) and not real.is_relative_to(scratch()):
        raise GlobeError(f"{path}: a link leads out of {scratch()} to {real}; remove it")
    path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """The file beside the target that is filled first; only one process does it at a time."""
    path = target.with_name(f".{hashlib.sha256(target.name.encode()).hexdigest()[:16]}{PARTIAL}")
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _same_file(descriptor, path):  # else whoever was waited for has renamed it: it is a target now
                yield path
                return
        finally:
            os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_there(file: Fetching) -> bool:
    """Whether another process has fetched it while this one waited."""
    if not file.path.is_file() or not (file.sha256 or file.mtime_ns):
        return False
    return file.mtime_ns in (0, file.path.stat().st_mtime_ns) and file.is_met_by(file.path)


def _fetch_to(file: Fetching, partial: Path, meter: _Meter, effort: Effort) -> None:
    client = s3.client()
    for last in (False, True):
        keep_trying(lambda: client.get_file(file.uri.path, str(partial), callback=meter.of(file.uri)), file.uri, effort)
        if file.is_met_by(partial):
            break
        if last:
            partial.unlink()
            promised = f"{file.size} bytes, sha256 {file.sha256[:12]}..." if file.sha256 else f"{file.size} bytes"
            raise Damaged(f"{file.uri}: its bytes are not those that its record promises ({promised})")
    if file.mtime_ns:
        os.utime(partial, ns=(file.mtime_ns, file.mtime_ns))
    os.replace(partial, file.path)
