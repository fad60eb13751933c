"""Turn what programs print into text that is safe to show: without colours, cursor movements and other control characters."""

import re

from globe import console

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
"""Terminal commands of ECMA-48: those with parameters (colours), those with a text (titles, links), and short ones."""


def plain(text: str) -> str:
    """One line of a log as a terminal finally shows it, without what a progress bar has overwritten."""
    shown = _ESCAPES.sub("", text).rstrip("\r\n").rpartition("\r")[2]
    return "".join(character if character.isprintable() else " " for character in shown)


def one_line(text: object) -> str:
    """Any text as one line that is safe to print: what stages report may contain a model's text."""
    return console.one_line(_ESCAPES.sub("", str(text)))
