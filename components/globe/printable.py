"""Text of unknown origin as text and nothing else: what a model, a server, a file's name or a page's author has written.

A terminal obeys what it is printed: escape sequences move its cursor, rename its window, write its user's clipboard; a character
that turns the direction around shows `gpj.exe` as `exe.jpg`; one without width makes one name look like another. All output for
people goes through here, by `globe.console`, `globe.markdown` or an error's own text. JSON keeps its values: it spells them.

What is replaced by a space, since nothing readable is lost:
- escape sequences as a whole (with 7 and with 8 bits), then every other control character, and what separates lines;
- characters for formatting (category Cf): bidi overrides, isolates and marks, zero-width spaces, soft hyphens, tags;
- what is blank but no space (Hangul fillers), unassigned and private characters, unusual spaces.
A lone surrogate, as in a file's name that is not UTF-8, is spelled `\\udc80`. `##[`, `##vso[` and a leading `::`, which CI
systems take for commands, get a space.

What stays, for names of places need it: letters and marks of every script, right-to-left ones in their own order; joiners (U+200C
and U+200D) where a script writes with them, which is beside a virama (Sinhala, Bengali, Malayalam, ...) and between Arabic
letters (Persian); one variation selector after a character (Japanese, Mongolian); and up to five marks on a letter, since more
would cover the lines around it.
"""

import re
import unicodedata
from collections.abc import Callable

MOST_MARKS = 5
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # with parameters: colours, movements
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # with a text: titles, links, the clipboard
    r"|\x1b[ -/]*[0-~]"  # short ones, and the start of one that does not end
)
_JOINERS = "\u200c\u200d"
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
CI_COMMAND = re.compile(r"##(?=\w*\[)")
_LEADING_CI_COMMAND = re.compile(r"^(\s*:)(?=:)")
FIRST_ODD = "\u0300"
"""Below it, all that Python calls printable is plain: marks, joiners, selectors and invisible letters come after it."""
_VIRAMA = 9
"""The combining class of the mark that joins two letters of an Indic script."""


def printable(text: str) -> str:
    """A text of unknown origin, as safe to print as a line of our own; what it says can still be read."""
    plain = spelled(_SEQUENCES.sub("", text), lambda found: f"\\u{ord(found):04x}" if "\ud800" <= found <= "\udfff" else " ")
    return _LEADING_CI_COMMAND.sub(r"\1 ", CI_COMMAND.sub("## ", plain)) if ":" in plain or "#" in plain else plain


def one_line(text: str, longest: int = 0) -> str:
    """The same without spaces around it, and with one between two words.

    Args:
        text: Anything.
        longest: Most characters to keep (0 = all); a shortened text ends in an ellipsis.
    """
    line = " ".join(printable(text).split())
    return line if not longest or len(line) <= longest else line[: longest - 1] + "…"


def spelled(text: str, spelling: Callable[[str], str]) -> str:
    """The text with every character that a terminal may obey, or that nobody sees, in another spelling."""
    if text.isprintable() and max(text, default="") < FIRST_ODD:
        return text
    return "".join(found if _is_plain(text, at) else spelling(found) for at, found in enumerate(text))


def _is_plain(text: str, at: int) -> bool:
    found = text[at]
    if " " <= found <= "~":
        return True
    if found in _JOINERS:
        return at > 0 and _joins(text[at - 1], text[at + 1 : at + 2])
    if not found.isprintable() or found in _BLANK:
        return False
    before = text[at - 1 : at]
    if _SELECTORS.fullmatch(found):
        return before.isprintable() and bool(before.strip()) and not _SELECTORS.fullmatch(before)
    return not (_is_mark(found) and at >= MOST_MARKS and all(map(_is_mark, text[at - MOST_MARKS : at])))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me")


def _joins(before: str, after: str) -> bool:
    """Whether a joiner between two characters, the second of which may be none, is part of how their script writes."""
    if unicodedata.combining(before) == _VIRAMA:
        return after not in (*_JOINERS,)
    if after and unicodedata.combining(after) == _VIRAMA:
        return before.isalpha()
    sides = [unicodedata.bidirectional(side) for side in (before, after) if side]
    return len(sides) == 2 and sides[1] == "AL" and sides[0] in ("AL", "NSM")
