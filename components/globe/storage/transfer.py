"""Many files to a bucket and back: in parallel, large ones in parts, with bounded memory.

Sending is all or nothing for each object, which is how S3 stores them. Fetching goes to a file beside the target that is
checked and then renamed; a fetch that was killed goes on with the parts it lacks.
"""

import fcntl
import hashlib
import mimetypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.files import file_sha256
from globe.storage import s3
from globe.storage.s3 import Effort
from globe.storage.uris import Uri, scratch

PART_BYTES = 8 * 1024 * 1024
"""Size of one request. S3 takes parts of 5 MB and more."""
MAX_PARTS = 10_000
FILES_AT_ONCE = 8
PARTS_AT_ONCE = 8
"""With the files at once this bounds memory: (8 + 8) x 8 MiB."""
PARTIAL = ".partial"


class Damaged(GlobeError):
    """What lies in the bucket is not what was promised."""


@dataclass(frozen=True)
class Sending:
    """One file to send."""

    path: Path
    uri: Uri
    size: int


@dataclass(frozen=True)
class Fetching:
    """One object to fetch."""

    uri: Uri
    path: Path
    size: int
    sha256: str = ""
    """What its bytes must hash to; empty where nobody knows."""
    etag: str = ""
    """What the object's version is called; a fetch goes on only with parts of the same."""
    mtime_ns: int = 0
    """Modification time that the file is given, nanoseconds since 1970; 0 leaves the present."""


def send(files: Sequence[Sending], effort: Effort) -> None:
    """Send files; returns when every one is stored.

    Raises:
        GlobeError: The first failure; the others are called off.
    """
    meter = _Meter("sent", len(files), sum(file.size for file in files), effort)

    def one(file: Sending, parts: ThreadPoolExecutor, tries: Effort) -> None:
        before = file.path.stat()
        if file.size <= PART_BYTES:
            s3.put(file.uri, file.path.read_bytes(), tries, content_type=_content_type(file.path))
        else:
            _send_in_parts(file, parts, tries, meter)
        after = file.path.stat()
        if (before.st_size, before.st_mtime_ns) != (file.size, after.st_mtime_ns) or after.st_size != file.size:
            raise GlobeError(f"{file.path}: changed while it was sent to {file.uri}; nobody may write to a finished result")
        meter.add(file.size if file.size <= PART_BYTES else 0, files=1)

    _all(one, files, effort)


def fetch(files: Sequence[Fetching], effort: Effort) -> None:
    """Fetch objects; returns when every one is there, checked.

    Raises:
        Damaged: An object is not what its record promises.
        NotThere: An object is gone.
        GlobeError: The first other failure; the others are called off.
    """
    meter = _Meter("fetched", len(files), sum(file.size for file in files), effort)

    def one(file: Fetching, parts: ThreadPoolExecutor, tries: Effort) -> None:
        try:
            _make_parent(file.path)
            with _partial(file) as partial:
                if _is_there(file):
                    partial.unlink()
                else:
                    _fetch_to(file, partial, parts, tries, meter)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise GlobeError(f"{file.uri}: an object and a folder have the same name; rename one of them") from None
        except OSError as error:
            raise GlobeError(f"{file.path}: cannot be written ({error.strerror or error}); {file.size} bytes go there") from None
        meter.add(0, files=1)

    _all(one, files, effort)


def hash_all(paths: Sequence[Path]) -> list[str]:
    """The sha256 of each file."""
    with ThreadPoolExecutor(min(FILES_AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(file_sha256, paths))


def for_all(do: Callable[[Any], object], items: Sequence[Any], effort: Effort) -> None:
    """Call a function for each item, several at once; the first failure calls the others off."""
    _all(lambda item, parts, tries: do(item), items, effort)


def _all(do: Callable[[Any, ThreadPoolExecutor, Effort], object], items: Sequence[Any], effort: Effort) -> None:
    """Run a transfer for each item; `do` gets the item, the pool for its parts, and an effort that one failure stops."""
    if not items:
        return
    tries = Effort(effort.tell, effort.patience_s, _Either(effort.stop))
    with ThreadPoolExecutor(PARTS_AT_ONCE) as parts, ThreadPoolExecutor(min(FILES_AT_ONCE, len(items))) as pool:
        futures = [pool.submit(do, item, parts, tries) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            _raise_first(done)
        except BaseException:
            tries.stop.set()
            for future in futures:
                future.cancel()
            raise


def _raise_first(done: set["Future[Any]"]) -> None:
    """Raise what went wrong, and not what was only called off because of it."""
    errors = [error for future in done if not future.cancelled() and (error := future.exception())]
    errors.sort(key=lambda error: isinstance(error, s3.Stopped))
    if errors:
        raise errors[0]


class _Either(threading.Event):
    """Set when it, or the event it was made from, is set."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


class _Meter:
    """Tells how far a transfer is, where it takes long enough to ask."""

    def __init__(self, verb: str, files: int, size: int, effort: Effort) -> None:
        self._verb, self._files, self._size, self._effort = verb, files, size, effort
        self._lock = threading.Lock()
        self._started = self._last = time.monotonic()
        self._done_files = self._done = 0

    def add(self, size: int, files: int = 0) -> None:
        with self._lock:
            self._done += size
            self._done_files += files
            now = time.monotonic()
            if now - self._last < s3.NOTE_INTERVAL_S:
                return
            self._last = now
            rate = self._done / 1e6 / (now - self._started)
            amount = f"{self._done / 1e6:,.0f} of {self._size / 1e6:,.0f} MB"
            text = f"{self._verb} {self._done_files} of {self._files} files, {amount}, {rate:.0f} MB/s"
        self._effort.note(text)


def _content_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _send_in_parts(file: Sending, pool: ThreadPoolExecutor, effort: Effort, meter: _Meter) -> None:
    size = max(PART_BYTES, -(-file.size // MAX_PARTS))
    upload = s3.call("create_multipart_upload", file.uri, effort, ContentType=_content_type(file.path))["UploadId"]

    def part(number: int, descriptor: int) -> dict[str, Any]:
        data = os.pread(descriptor, size, number * size)
        answer = s3.call("upload_part", file.uri, effort, UploadId=upload, PartNumber=number + 1, Body=data)
        meter.add(len(data))
        # The checksums are named again at the end, so that the server checks the whole against its parts.
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum") and name != "ChecksumType"}
        return {"PartNumber": number + 1, "ETag": answer["ETag"]} | sums

    try:
        with file.path.open("rb") as opened:
            parts = _in_order(lambda number: part(number, opened.fileno()), -(-file.size // size), pool, effort)
        s3.call("complete_multipart_upload", file.uri, effort, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(GlobeError):  # parts of an upload that never ends cost money
            s3.call("abort_multipart_upload", file.uri, effort.brief(), UploadId=upload)
        raise


def _in_order(do: Callable[[int], Any], count: int, pool: ThreadPoolExecutor, effort: Effort) -> list[Any]:
    """Results of numbered parts, in order; no part is left running when this returns or raises."""
    futures = [pool.submit(do, number) for number in range(count)]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        _raise_first({future for future in futures if future.done()})
        return [future.result() for future in futures]
    except BaseException:
        effort.stop.set()
        for future in futures:
            future.cancel()
        wait(futures)
        raise


def _make_parent(path: Path) -> None:
    """Make a target's folder, and refuse one that a link leads out of the mirrors."""
    real = Path(os.path.realpath(path.parent))
    if path.is_relative_to(scratch()) and not real.is_relative_to(scratch()):
        raise GlobeError(f"{path}: a link leads out of {scratch()} to {real}; remove it")
    path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _partial(file: Fetching) -> Iterator[Path]:
    """The file beside the target that is filled first; only one process does it at a time."""
    path = file.path.with_name(f".{hashlib.sha256(file.path.name.encode()).hexdigest()[:16]}{PARTIAL}")
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _same_file(descriptor, path):  # or the one that was waited for has been renamed: it is somebody's target now
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
    try:
        state = file.path.stat()
    except OSError:
        return False
    if state.st_size != file.size:
        return False
    return file_sha256(file.path) == file.sha256 if file.sha256 else bool(file.mtime_ns) and state.st_mtime_ns == file.mtime_ns


def _fetch_to(file: Fetching, partial: Path, pool: ThreadPoolExecutor, effort: Effort, meter: _Meter) -> None:
    ledger = partial.with_suffix(".parts")
    version = file.sha256 or file.etag
    for last in (False, True):
        _fetch_parts(file, partial, ledger, version, pool, effort, meter)
        found = "" if not file.sha256 else file_sha256(partial)
        if found == file.sha256:
            break
        ledger.unlink()  # nothing of it can be trusted
        if last:
            partial.unlink()
            raise Damaged(f"{file.uri}: its bytes are not those that its record promises (sha256 {file.sha256[:12]}...)")
    if file.mtime_ns:
        os.utime(partial, ns=(file.mtime_ns, file.mtime_ns))
    os.replace(partial, file.path)
    ledger.unlink(missing_ok=True)


def _fetch_parts(
    file: Fetching, partial: Path, ledger: Path, version: str, pool: ThreadPoolExecutor, effort: Effort, meter: _Meter
) -> None:
    """Fill the partial file; which parts it has is kept beside it, with the version that they belong to."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    done = {int(line) for line in lines[1:] if line.isdigit()} if lines[:1] == [version] else set()
    if not done:
        ledger.write_text(version + "\n")
        os.truncate(partial, 0)
    missing = [number for number in range(-(-file.size // PART_BYTES)) if number not in done]
    lock = threading.Lock()
    with partial.open("r+b") as opened, ledger.open("a") as notes:

        def part(index: int) -> None:
            number = missing[index]
            start = number * PART_BYTES
            stop = min(start + PART_BYTES, file.size)
            data = _bytes(file, start, stop, effort)
            os.pwrite(opened.fileno(), data, start)
            with lock:
                notes.write(f"{number}\n")
                notes.flush()
            meter.add(len(data))

        _in_order(part, len(missing), pool, effort)


def _bytes(file: Fetching, start: int, stop: int, effort: Effort) -> bytes:
    whole = stop - start == file.size
    try:
        data = s3.get(file.uri, effort, *((0, 0) if whole else (start, stop)), etag=file.etag)
    except s3.NotThere:
        raise
    except GlobeError as error:
        if "InvalidRange" in str(error):
            raise Damaged(f"{file.uri}: it is shorter than its record promises ({file.size} bytes)") from None
        raise
    if len(data) != stop - start:
        raise Damaged(f"{file.uri}: it has not the {file.size} bytes that its record promises")
    return data
