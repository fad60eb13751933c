"""The two kinds of failure that a user meets: an input was wrong, or something did not work."""

import errno
from pathlib import Path
from typing import Literal

from globe.printable import printable

Fault = Literal["input", "failure", "bug", "stopped"]
"""Why a stage failed: an input was wrong, something did not work, there is a bug, or it was told to end before it was done."""
STOPPED = 75
"""Exit code of a command that was told to end and can go on later from what it has saved (EX_TEMPFAIL of sysexits.h)."""
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""The machine has run out of something, so another path would not help."""


class GlobeError(Exception):
    """The work could not be done. Commands end with exit code 1.

    Its text quotes names and values that others have chosen, and is printed by commands, in tracebacks and in logs alike.
    """

    def __str__(self) -> str:
        """One line that is safe to print."""
        return printable(super().__str__())


class InputError(GlobeError):
    """A user's input is wrong. One line names file, row or field, and what to do; commands end with exit code 2."""


class Stopped(GlobeError):
    """The work was told to end, has saved what it could, and goes on when it is started again; commands end with exit code 75."""


def first_error(error: BaseException) -> BaseException:
    """The first error of a group, or of the groups in it; any other error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def fault_of(error: BaseException) -> Fault:
    """What kind of fault an error is."""
    if isinstance(error, InputError):
        return "input"
    if isinstance(error, Stopped):
        return "stopped"
    return "failure" if isinstance(error, GlobeError) or is_machines(error) else "bug"


def is_machines(error: BaseException) -> bool:
    """Whether the machine is at fault, as with a full disk."""
    return isinstance(error, OSError) and error.errno in _MACHINE


def cannot_write(path: str | Path, error: OSError) -> GlobeError:
    """An error of the operating system as one line for the user.

    Args:
        path: What was being written, or its folder; the error itself often does not say.
        error: The error.

    Returns:
        A plain failure if the machine has run out of something, else bad input: that path cannot be written to.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GlobeError(f"{path}: {error.strerror}; make room on that file system, then repeat the command")
    text = f"{path}: cannot be written ({error.strerror or error})"
    return GlobeError(text) if is_machines(error) else InputError(f"{text}; give a folder of your own")
