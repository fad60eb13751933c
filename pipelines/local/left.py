"""Read what a stage has left, whatever it is: stages are not trusted, and this machine's own process reads after them."""

import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_left(path: Path) -> BinaryIO:
    """Open a file; no link at its end is followed, no pipe waited for, and no device read.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(0, "it is no regular file", str(path))
    return os.fdopen(number, "rb")


def end_of(path: Path, most: int) -> bytes:
    """The last bytes of a file; none if it cannot be read.

    Args:
        path: The file.
        most: How many bytes.
    """
    try:
        with open_left(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)
    except OSError:
        return b""
