"""Markdown for people: a run's page in KFP's UI, a CI job's summary. Both show it as it is meant, whoever wrote the texts in it.

KFP's UI shows no HTML in Markdown, and before 2.17 no pictures either: a bar is made of letters.
"""

import re
from collections.abc import Sequence

from globe.console import one_line, printable

_STEERING = "\\`*_[]|#!~@$"
_LEADING = re.compile(r"^(\d*)([-+.)](?= |$)|>|-(?=--)|=(?==))")
"""What would make a list, a quotation or a rule of a text, were it the first in its line or in a list's item."""
_MENTION = re.compile(r"(?<!\w)\\@(?=\w)|\\#(?=\d)")
"""What GitHub makes a notice or a reference of when everything else is rendered, escaped or not."""
_WORD_JOINER = "\u2060"
_WWW = re.compile(r"(?i)\b(www)\.")
BAR_LETTERS = 20
_ESCAPED = re.compile(r"\\[^A-Za-z0-9\s]|&amp;|&lt;")
_ACTING = re.compile(r"[<\[\]`!@$&\\]|://|www\.|^ *#+(?![ #])|(?<=[^\n#])#", re.MULTILINE)
"""HTML, links, pictures, code, mentions and references; the # of a heading stand at the start of its line."""


def escape(text: str) -> str:
    """Escape untrusted text so that Markdown shows it as it is, on one line."""
    line = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    marked = "".join(f"\\{character}" if character in _STEERING else character for character in line)
    marked = re.sub("=(?==)", r"\\=", marked)  # KFP 2.17 marks what stands between two pairs
    marked = _LEADING.sub(r"\1\\\2", marked)
    marked = _MENTION.sub(rf"\g<0>{_WORD_JOINER}", marked)
    marked = _WWW.sub(r"\1\\.", marked)
    return marked.replace("://", "\\://")  # not a link to click on; KFP's UI would show an entity as it is written


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table.

    Args:
        head: Titles of the columns, as Markdown; one that ends in ":" is of numbers, which stand at the right.
        rows: Cells, as Markdown.
    """
    rules = ["--:" if title.endswith(":") else "---" for title in head]
    lines = [[title.removesuffix(":") for title in head], rules, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def bar(share: float) -> str:
    """A share from 0 to 1 as a bar of letters; what is there at all can be seen."""
    letters = round(min(1.0, max(0.0, share)) * BAR_LETTERS)
    return "█" * letters if letters else "▏" if share > 0 else ""


def is_plain(page: str) -> bool:
    """Whether a page that others could have written has only what ours have: headings, lists, tables, bold type, plain text."""
    if _MENTION.search(page):
        return False
    shown = page.replace(_WORD_JOINER, "")
    return all(line == printable(line) for line in shown.split("\n")) and not _ACTING.search(_ESCAPED.sub("", shown))
