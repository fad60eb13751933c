"""How much of a data set could be used: counted when it is read, kept beside it, and shown with every figure made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.files import write_json

COMPLETENESS_FILE = "completeness.json"
FIRST_IDS = 5
NOT_LISTED = "row_not_in_table"
HINTS = {
    "bad_id": "a name has a control character, is not in UTF-8, or is longer than an id may be: rename these files",
    "no_position": "a photo needs a position in its EXIF data (GPS), or a row with one in a table beside the photos",
    "position_not_a_number": "positions are decimal degrees with a point, such as 48.8566 and -2.3522",
}
"""What to do about reasons whose names do not say it."""


@dataclass(frozen=True)
class Unusable:
    """Rows that cannot be used for one reason."""

    n: int
    first: list[str] = field(default_factory=list)
    """Ids of the first few."""


@dataclass(frozen=True)
class Completeness:
    """What came of reading a data set.

    Attributes:
        name: Of the data set: its name, or its file's.
        rows: Rows that its table lists.
        usable: Rows that became pictures with a true place.
        rows_expected: Rows that it should have: those of the published set, else of its table.
        unusable: The others, by reason.
        source: Page that the data set is to be had from; "" if unknown.
        licence: What that page says about reuse; "" if unknown.
    """

    name: str
    rows: int
    usable: int
    rows_expected: int
    unusable: dict[str, Unusable] = field(default_factory=dict)
    source: str = ""
    licence: str = ""

    @property
    def total(self) -> int:
        """Rows that there should be, or that there are if more."""
        return max(self.rows, self.rows_expected)

    @property
    def unusable_percent(self) -> float:
        """Share of the rows that cannot be used, in percent."""
        return 100.0 * (self.total - self.usable) / self.total if self.total else 0.0

    def reasons(self) -> str:
        """The counts by reason, as "9 file_missing (first: a.jpg), 1 duplicate_id (first: b.jpg)"."""
        firsts = ((reason, one.n, f" (first: {one.first[0]})" if one.first else "") for reason, one in self._sorted())
        return ", ".join(f"{n} {reason}{first}" for reason, n, first in firsts)

    def notes(self) -> list[str]:
        """A line for each reason, for people."""
        return [
            f"{one.n} photos could not be used ({reason})" + (f", the first {one.first[0]}" if one.first else "")
            for reason, one in self._sorted()
        ]

    def _sorted(self) -> list[tuple[str, Unusable]]:
        return sorted(self.unusable.items(), key=lambda item: (-item[1].n, item[0]))

    def check(self, max_unusable_percent: float, details: Path) -> None:
        """Stop where too little of the data set can be used for its figures to stand for it.

        Args:
            max_unusable_percent: The recipe's limit, in percent of the rows.
            details: Where the counts are written.

        Raises:
            InputError: The limit is exceeded; one line that says the counts and how to allow it.
        """
        if self.unusable_percent <= max_unusable_percent:
            return
        share = self.unusable_percent
        most = self._sorted()[0][0] if self.unusable else ""
        hint = f"; {HINTS[most]}" if most in HINTS else ""
        allow = (
            f", or allow it with --set max_unusable_percent={_up(share):g} "
            f"(in a run --set source.max_unusable_percent={_up(share):g})"
        )
        raise InputError(
            f"{self.name}: {self.total - self.usable} of {self.total} rows ({share:.1f}%) cannot be used: {self.reasons()}; "
            f"max_unusable_percent={max_unusable_percent:g} allows fewer{hint}. Mend them ({details} has the counts)"
            f"{allow if self.usable else ''}"
        )


def completeness_of(
    name: str,
    listed: int,
    usable: int,
    refused: Mapping[str, list[str]],
    expected: int | None = None,
    source: str = "",
    licence: str = "",
) -> Completeness:
    """Count what came of reading a data set.

    Args:
        name: Of the data set.
        listed: Rows that were read.
        usable: How many of them can be used.
        refused: Ids of the others, by reason.
        expected: Rows of the published set; None if unknown.
        source: Page that it is to be had from.
        licence: Its licence.

    Raises:
        InputError: There are more rows than the published set has: it is another one.
    """
    if expected is not None and listed > expected:
        raise InputError(f"{name}: the table has {listed} rows, but {name} has {expected}; give another table by its path")
    unusable = {reason: Unusable(len(ids), ids[:FIRST_IDS]) for reason, ids in refused.items()}
    if expected is not None and listed < expected:
        unusable[NOT_LISTED] = Unusable(expected - listed)
    return Completeness(name, listed, usable, listed if expected is None else expected, unusable, source, licence)


def write_completeness(folder: Path, record: Completeness) -> Path:
    """Write the record beside a dataset's manifest.

    Returns:
        Its file.
    """
    write_json(folder / COMPLETENESS_FILE, asdict(record))
    return folder / COMPLETENESS_FILE


def read_completeness(folder: Path) -> Completeness | None:
    """The record of a dataset; None where there is none, as of a dataset that was drawn, or made by an earlier release.

    Raises:
        InputError: It is damaged.
    """
    path = folder / COMPLETENESS_FILE
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        unusable = {reason: Unusable(**one) for reason, one in content.pop("unusable").items()}
        return Completeness(**content, unusable=unusable)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({str(error)[:80]}); make the dataset again") from None


def _up(percent: float) -> float:
    """The next whole percent that is no less."""
    return float(-(-percent // 1))
