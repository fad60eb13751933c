"""How a source is cut for annotators that work side by side: which parts there are, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from globe.data.ingest import identity_of
from globe.data.named import Given, resolve
from globe.data.parts import Part, parts_of
from globe.data.recipe import SourceRecipe
from globe.data.source import TOY
from globe.data.source import source as source_stage
from globe.data.sources import list_source
from globe.errors import InputError

MOST_ANNOTATORS = 256


@dataclass(frozen=True)
class Shares:
    """A source, cut into parts that annotators share between them.

    Attributes:
        source: Digest of what it holds.
        rows: Rows that it lists.
        part_rows: Of each part.
        annotators: How many share the parts.
        listing: What decides which rows it lists (`globe.data.listing`); who reads a part checks that it is still the same.
    """

    source: str
    rows: int
    part_rows: int
    annotators: int
    listing: Mapping[str, str]

    @property
    def parts(self) -> int:
        """How many parts there are; at least one."""
        return len(parts_of(self.rows, self.part_rows))

    @property
    def numbers(self) -> list[int]:
        """The annotators who have any part."""
        return list(range(min(self.annotators, self.parts)))

    def of(self, annotator: int) -> list[Part]:
        """The parts of one annotator: every so manieth, so that all are at the beginning of the source together."""
        return [Part(index, self.part_rows) for index in range(annotator, self.parts, self.annotators)]


def check_annotators(count: int) -> None:
    """Refuse a number of annotators that makes no sense.

    Raises:
        InputError: It is 0 or less, or more than teachers could answer.
    """
    if not 1 <= count <= MOST_ANNOTATORS:
        raise InputError(f"annotators: {count}: give 1 to {MOST_ANNOTATORS}")


def cut(*, source: str, recipe: SourceRecipe, part_rows: int, annotators: int, store: Path) -> Shares:
    """Count a source's rows, and cut them into parts.

    Args:
        source: As the stage `source` takes it.
        recipe: How many photos to read at most; parts of one size read a few less, if need be.
        part_rows: Rows that a part may have; it has fewer where some annotator would be left without any.
        annotators: How many share the parts.
        store: Where the toy world goes, if that is the source.

    Raises:
        InputError: The source cannot be read, or a number makes no sense.
    """
    check_annotators(annotators)
    given = found(source, recipe, store)
    digest, (rows, listing) = identity_of(given), list_source(given)
    if 0 < recipe.max_photos < rows:
        rows = recipe.max_photos
        parts = min(rows, max(-(-rows // part_rows), annotators))
        return Shares(digest, parts * (rows // parts), rows // parts, annotators, listing)
    return Shares(digest, rows, max(1, min(part_rows, -(-rows // annotators))), annotators, listing)


def found(source: str, recipe: SourceRecipe, store: Path) -> Given:
    """A source that a run names; the toy world is drawn if the store does not have it."""
    if source == TOY:
        return Given(source_stage(source=source, recipe=recipe, store=store).outcome.path("data"))
    return resolve(source)
