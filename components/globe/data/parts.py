"""Parts of a source: consecutive rows in the source's own order, so that the parts one after the other are the whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Rows `index * rows` up to `(index + 1) * rows` of a source, counted as the source lists them, usable or not."""

    index: int
    rows: int

    @property
    def first(self) -> int:
        """Number of its first row, from 0."""
        return self.index * self.rows

    @property
    def end(self) -> int:
        """Number of the row after its last one, if the source has so many."""
        return self.first + self.rows


def parts_of(rows: int, part_rows: int) -> list[Part]:
    """The parts of a source, in its order; at least one, so that an empty source is read and told of.

    Args:
        rows: How many it lists.
        part_rows: Of each part; the last may have fewer.
    """
    return [Part(index, part_rows) for index in range(max(1, -(-rows // part_rows)))]
