"""Markdown for people: a run's page in KFP's UI, a CI job's summary. Both show it as it is meant, whoever wrote the texts in it.

KFP's UI shows no HTML in Markdown, and before 2.17 no pictures either: a bar is made of letters.
"""

import re
from collections.abc import Sequence

from globe.console import one_line

_STEERING = "\\`*_[]|#!~@"
_LIST_MARK = re.compile(r"^(\d*)([-+.)])(?= |$)")
"""What would make a list of a text, were it the first in its line or in a list's item."""
BAR_LETTERS = 20


def escape(text: str) -> str:
    """Escape untrusted text so that Markdown shows it as it is, on one line."""
    line = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    marked = "".join(f"\\{character}" if character in _STEERING else character for character in line)
    marked = re.sub("=(?==)", r"\\=", marked)  # KFP 2.17 marks what stands between two pairs
    marked = _LIST_MARK.sub(r"\1\\\2", marked)
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
