"""What a curation kept and where the rest stopped: as rows, and as the table and the picture beside curation.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape as escape_html
from pathlib import Path
from typing import Any, Literal

from globe.curation.rules.reasons import REASONS
from globe.files import write_atomically
from globe.markdown import bar, escape, table
from globe.printable import one_line

PLOT_NAME = "funnel.svg"
TABLE_NAME = "funnel.md"

_LINE_PX, _NAME_PX, _BAR_PX, _COUNT_PX, _MARGIN_PX = 26, 210, 420, 150, 16
_STYLE = """
svg { background: #fff } text { font: 13px system-ui, sans-serif; fill: #222 }
.all, .kept { fill: #2f6f4f } .out { fill: #b5533c } .rest { fill: #999 }
@media (prefers-color-scheme: dark) { svg { background: #181818 } text { fill: #ddd } }
"""


@dataclass(frozen=True)
class FunnelRow:
    """One step of the curation funnel: `left` and `width` in percent of all pictures."""

    name: str
    kind: Literal["all", "out", "rest", "kept"]
    """All, removed, neither removed nor kept, or kept."""
    count: int
    left: float
    width: float

    @property
    def signed_count(self) -> str:
        """The count with a minus sign if these pictures are gone."""
        return f"{'−' if self.kind in ('out', 'rest') else ''}{self.count:,}"


def funnel_of(result: Mapping[str, Any]) -> list[FunnelRow]:
    """The funnel of a curation.

    Args:
        result: The content of curation.json.

    Returns:
        From all pictures to those kept; none for a curation of nothing.
    """
    return funnel(int(result.get("in") or 0), removed(result), int(result.get("kept") or 0), "not counted")


def funnel(total: int, removed: Sequence[tuple[str, int]], kept: int, rest_name: str) -> list[FunnelRow]:
    """A waterfall from all pictures to those kept.

    Args:
        total: Pictures that came in.
        removed: Reason and count, in the order to show.
        kept: Pictures kept.
        rest_name: What to call pictures that are neither removed nor kept, if there are any.
    """
    if total <= 0:
        return []
    rows = [FunnelRow("pictures in", "all", total, 0.0, 100.0)]
    remaining = total
    rest = total - kept - sum(number for _, number in removed)
    steps: list[tuple[str, Literal["out", "rest"], int]] = [(name, "out", number) for name, number in removed]
    if rest > 0:
        steps.insert(0, (rest_name, "rest", rest))
    for name, kind, size in steps:
        remaining -= size
        rows.append(FunnelRow(name, kind, size, 100 * max(0, remaining) / total, 100 * size / total))
    rows.append(FunnelRow("passed every check", "kept", kept, 0.0, 100 * min(kept, total) / total))
    return rows


def removed(result: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Why pictures were removed in a curation, and how many.

    Those that could not be used come first, then those that a rule dropped, in the order of the rules, then those that were
    dropped for something else.
    """

    def place(reason: str) -> int:
        return REASONS.index(reason) if reason in REASONS else len(REASONS)

    quarantined = (result.get("quarantined") or {}).items()
    dropped = sorted((result.get("dropped") or {}).items(), key=lambda pair: (place(pair[0]), -pair[1], pair[0]))
    return [(one_line(str(reason)).replace("_", " "), int(count)) for reason, count in (*quarantined, *dropped) if count]


def funnel_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The funnel as lines of plain text, for a terminal."""
    rows = funnel_of(result)
    widest = max((len(row.name) for row in rows), default=0)
    longest = max((len(row.signed_count) for row in rows), default=0)
    for row in rows:
        yield f"{row.name:<{widest}}  {row.signed_count:>{longest}}  {row.width:5.1f}%  {bar(row.width / 100)}".rstrip()


def funnel_table(result: Mapping[str, Any]) -> str:
    """The funnel as a table in Markdown."""
    lines = [(escape(row.name), row.signed_count, bar(row.width / 100)) for row in funnel_of(result)]
    return table(("step", "pictures:", ""), lines)


def write_funnel(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the funnel beside curation.json: funnel.md, a table, and funnel.svg, a picture.

    Args:
        folder: The curated folder.
        result: The content of curation.json.
    """
    write_atomically(folder / TABLE_NAME, funnel_table(result) + "\n")
    write_atomically(folder / PLOT_NAME, _svg(funnel_of(result)))


def _svg(rows: Sequence[FunnelRow]) -> str:
    width, height = _NAME_PX + _BAR_PX + _COUNT_PX, _LINE_PX * len(rows) + 2 * _MARGIN_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>From pictures to kept pictures</title><style>{_STYLE}</style>",
    ]
    for number, row in enumerate(rows):
        top = _MARGIN_PX + _LINE_PX * number
        left = _NAME_PX + _BAR_PX * row.left / 100
        long = max(1.0, _BAR_PX * row.width / 100)  # what is there at all can be seen
        parts.append(
            f'<text x="{_NAME_PX - 10}" y="{top + 17}" text-anchor="end">{escape_html(row.name)}</text>'
            f'<rect class="{row.kind}" x="{left:.1f}" y="{top + 4}" width="{long:.1f}" height="{_LINE_PX - 8}"/>'
            f'<text x="{_NAME_PX + _BAR_PX + 10}" y="{top + 17}">{row.signed_count} ({row.width:.1f}%)</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
