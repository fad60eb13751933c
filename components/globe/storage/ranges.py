"""An object as a file that is read here and there, by requests for ranges: of a large one only what is asked for is moved."""

import io
from typing import Any

from globe.errors import GlobeError
from globe.storage import s3
from globe.storage.bucket import keep_trying
from globe.storage.effort import Effort
from globe.storage.uris import Uri

READ_AHEAD_BYTES = 1024 * 1024
"""Asked for beyond what is read: whoever reads on finds it here."""


class RangeFile(io.RawIOBase):
    """An object, open for reading. A read that fails is tried again; one that succeeds is of the version that was opened.

    Args:
        uri: The object.
        effort: How hard to try.

    Raises:
        NotThere: No such object.
        GlobeError: It cannot be reached.
    """

    def __init__(self, uri: Uri, effort: Effort) -> None:
        super().__init__()
        self._uri, self._effort = uri, effort
        self._file: Any = keep_trying(lambda: s3.client().open(uri.path, "rb", block_size=READ_AHEAD_BYTES), uri, effort)
        self._size, self._at = int(self._file.size), 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read from anywhere."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Begin the next read elsewhere."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"a position before the beginning: {start + offset}")
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """All bytes asked for, as far as the object has them.

        Raises:
            GlobeError: The server fails for longer than patience lasts, or has another version by now.
        """
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        data = keep_trying(lambda: self._read(wanted), self._uri, self._effort) if wanted else b""
        self._at += len(data)
        return data

    def read_at(self, start: int, size: int) -> bytes:
        """Bytes from anywhere, as far as the object has them, moved by one request; several threads may ask at once.

        Raises:
            GlobeError: As `read`; or the file was closed meanwhile.
        """
        wanted = min(size, self._size - start)
        return keep_trying(lambda: self._read_at(start, wanted), self._uri, self._effort) if wanted > 0 else b""

    def _read_at(self, start: int, size: int) -> bytes:
        try:
            return _whole(s3.read_range(self._uri, self._file.details["ETag"], start, size), size)
        except Exception as error:
            if s3.is_refused_version(error):
                raise self._changed() from None
            raise

    def _changed(self) -> GlobeError:
        return GlobeError(f"{self._uri}: changed while it was read; start again")

    def _read(self, size: int) -> bytes:
        self._file.seek(self._at)
        try:
            data: bytes = self._file.read(size)
        except OSError as error:
            if type(error).__name__ != "FileExpired":
                raise
            raise self._changed() from None
        return _whole(data, size)

    def close(self) -> None:
        """Read no more; threads that still try give up."""
        self._effort.stop.set()
        if not self.closed:
            self._file.close()
        super().close()


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ConnectionError(f"the answer has {len(data)} bytes of {size}")  # one more try, as after a line that was cut
    return data
