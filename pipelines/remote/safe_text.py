"""Make text safe for a terminal or a CI log: single lines, without secrets."""

import re

from globe.redact import Redactor

__all__ = ["Redactor", "one_line", "printable"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_CI_COMMAND = re.compile(r"##\[")


def printable(text: str) -> str:
    """Text without anything that would move a cursor, start a new line or be a command to a CI system."""
    return _CI_COMMAND.sub("## [", _CONTROL.sub(" ", text))


def one_line(text: str, longest: int = 500) -> str:
    """Text from elsewhere, such as a server's error message, as one line.

    Args:
        text: Anything.
        longest: Characters to keep.

    Returns:
        The line.
    """
    line = " ".join(printable(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
