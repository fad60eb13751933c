"""The two kinds of failure that a user meets: something given was wrong, or something tried did not work."""

import errno
from pathlib import Path
from typing import Literal

Fault = Literal["input", "failure", "bug"]
"""What a failed stage failed of: something given was wrong, something did not work, or nobody foresaw it."""
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of a machine that has run out of something, whatever path was given."""


class GlobeError(Exception):
    """The work could not be done. Commands end with exit code 1."""


class InputError(GlobeError):
    """Something the user gave is wrong. One line naming file, row or field, and what to do; commands end with exit code 2."""


def fault_of(error: BaseException) -> Fault:
    """What an error tells about its cause."""
    if isinstance(error, InputError):
        return "input"
    return "failure" if isinstance(error, GlobeError) or is_machines(error) else "bug"


def is_machines(error: BaseException) -> bool:
    """Whether an error is the machine's, such as a full disk."""
    return isinstance(error, OSError) and error.errno in _MACHINE


def cannot_write(path: str | Path, error: OSError) -> GlobeError:
    """An error of the operating system as one line for the user.

    Args:
        path: What was being written, or the folder that it lies in: the error itself often does not know.
        error: The error.

    Returns:
        A plain failure when the machine ran out of something, else bad input: the path was not one to write to.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GlobeError(f"{path}: {error.strerror}; make room on that file system, then repeat the command")
    text = f"{path}: cannot be written ({error.strerror or error})"
    return GlobeError(text) if is_machines(error) else InputError(f"{text}; give a folder of your own")
