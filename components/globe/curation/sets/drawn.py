"""A set of which not every row is written: all candidates go to disk first, and when the last is known those chosen are copied.

So memory does not grow with the pictures, and how many rows there are of either verdict is known before the first is written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any

from globe.curation.sets.draws import RANKS, Draw, rank
from globe.curation.sets.negatives import LENT, OTHER_PICTURE, Lenders, made_id, with_text_of
from globe.data.rows import Row
from globe.data.shards import DatasetWriter, read_columns, read_dataset
from globe.files import json_line

Group = tuple[str, bool | None]
"""Rows that compete for places with each other: those of one split and, in a balanced set, of one verdict."""
_TEXT = ("id", "split", "localizable", *LENT, "provenance")


@dataclass(frozen=True)
class Choice:
    """Which rows a set gets.

    Attributes:
        seed: Of the hashes that choose.
        most_train: Rows to train on at most; 0 sets no limit, and a balanced set needs 2 at least.
        balanced: As many that can be located as not, in each split.
        other_picture: Share of the rows that can be located of which a row with another picture's text is made.
    """

    seed: int
    most_train: int = 0
    balanced: bool = False
    other_picture: float = 0.0

    @property
    def is_everything(self) -> bool:
        """Whether all rows are written as they come, and no others."""
        return not (self.most_train or self.balanced or self.other_picture)


class DrawnSet:
    """Collects the candidates of a set and then copies those that are chosen, in the order in which they came.

    Use as a context manager, and call `settle` at the end of the block.

    Args:
        target: Writes the set.
        folder: Where the candidates lie in between.
        choice: Which of them the set gets.
    """

    def __init__(self, target: DatasetWriter, folder: Path, choice: Choice) -> None:
        self._target, self._folder, self._choice = target, folder, choice
        self._candidates = DatasetWriter(folder)
        most = choice.most_train
        limits = {"train": most // 2 if choice.balanced else most, "test": 0}
        verdicts = (True, False) if choice.balanced else (None,)
        self._draws = {(split, verdict): Draw(most) for split, most in limits.items() for verdict in verdicts}

    def __enter__(self) -> DrawnSet:
        self._candidates.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._candidates.manifest is None:
            self._candidates.__exit__(kind, error, trace)

    def add(self, row: Row) -> None:
        """Take a candidate."""
        if self._draws[self._group(row.split, row.localizable)].offer(self._rank(row.id)):
            self._candidates.add(row)

    def settle(self) -> None:
        """Choose among the candidates, all of which have been added, and write the set."""
        self._candidates.__exit__(None, None, None)
        made = self._folder / "made.jsonl"
        made.touch()
        if self._choice.other_picture:
            self._lend(made)
        highest = self._highest()
        with made.open(encoding="utf-8") as lines:
            lent = map(json.loads, lines)
            text = next(lent, None)
            for row in read_dataset(self._folder):
                self._copy(row, highest)
                if text is not None and text["for"] == row.id:
                    self._copy(with_text_of(row, text), highest)
                    text = next(lent, None)

    def _copy(self, row: Row, highest: Mapping[Group, int]) -> None:
        if self._rank(row.id) <= highest[self._group(row.split, row.localizable)]:
            self._target.add(row)

    def _highest(self) -> dict[Group, int]:
        """The highest rank that is still chosen, by group."""
        counts = {group: draw.count for group, draw in self._draws.items()}
        if self._choice.balanced:
            rarer = {split: min(counts[split, True], counts[split, False]) for split, _ in counts}
            counts = {group: rarer[group[0]] for group in counts}
        return {group: self._draws[group].highest(count) for group, count in counts.items()}

    def _lend(self, made: Path) -> None:
        """Write down, in the order of the candidates, which of them also gets which text, and enter the rows that this makes.

        The texts are those of the other half of the same candidates, so neighbours, which a source may have sorted by country,
        don't lend to each other; each split lends to itself, so nothing of a picture that is held out is trained on.
        """
        highest = {group: draw.highest(draw.count) for group, draw in self._draws.items()}
        found = Counter(text["split"] for text in self._located(highest))
        lenders = {split: Lenders(self._from_the_middle(highest, split, count)) for split, count in found.items()}
        share = self._choice.other_picture * RANKS
        with made.open("w", encoding="utf-8") as file:
            for text in self._located(highest):
                if rank(self._choice.seed, OTHER_PICTURE, text["id"]) >= share:
                    continue
                lent = lenders[text["split"]].lend(text)
                if lent is None:
                    continue
                place = self._rank(made_id(OTHER_PICTURE, text["id"]))
                self._draws[self._group(text["split"], False)].offer(place)
                file.write(json_line({"for": text["id"], **lent}))

    def _from_the_middle(self, highest: Mapping[Group, int], split: str, count: int) -> Iterator[dict[str, Any]]:
        def texts() -> Iterator[dict[str, Any]]:
            return (text for text in self._located(highest) if text["split"] == split)

        return chain(islice(texts(), count // 2, None), islice(texts(), count // 2))

    def _located(self, highest: Mapping[Group, int]) -> Iterator[dict[str, Any]]:
        """The candidates that can be located and have a good chance to be chosen, without their pictures."""
        for text in read_columns(self._folder, _TEXT):
            if text["localizable"] and self._rank(text["id"]) <= highest[self._group(text["split"], True)]:
                yield text

    def _group(self, split: str, localizable: bool | None) -> Group:
        return split, bool(localizable) if self._choice.balanced else None

    def _rank(self, row_id: str) -> int:
        return rank(self._choice.seed, "row", row_id)
