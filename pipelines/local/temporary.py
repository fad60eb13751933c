"""A temporary folder for a run's processes (KFP, ms-swift, torch, vLLM), which is deleted when the run ends.

It is among the system's temporary files and not in the run's folder, because vLLM and multiprocessing create sockets there, and
a socket's path may have only 107 bytes. A run locks its folder; a killed run's folder is not locked, and the next run deletes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from globe.errors import cannot_write

PREFIX = "globe-run-"
LONGEST = 57
"""Bytes of the folder's path: 107, minus what is created in it (a slash and a UUID, or `pymp-…/listener-…`) and some room."""
DEFAULT = "/tmp"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, until the end of the block.

    Yields:
        Its path, short enough for sockets below it.

    Raises:
        GlobeError: None can be made.
    """
    parent = Path(DEFAULT)
    try:
        parent = _parent()
        _remove_left_ones(parent)
        made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    except OSError as error:
        raise cannot_write(parent, error) from None
    handle = os.open(made, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    folder = made.rename(
        parent / made.name.removeprefix(".")
    )  # only now that it is locked: an unlocked folder of this name was left by a kill
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _parent() -> Path:
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) + len(f"/{PREFIX}12345678") <= LONGEST else DEFAULT)


def _remove_left_ones(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, or deleted in the meantime
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(handle).st_uid == os.getuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
