"""Which pictures are held out for testing, and which may not be trained on because of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from globe.curation.guard.facts import BATCH_ROWS, SCHEMA, Facts, from_table, to_table
from globe.curation.guard.leakage import SAME_ID, SAME_PICTURE, Guard
from globe.curation.guard.places import place_of
from globe.curation.recipe import CurationRecipe
from globe.curation.sets.outputs import Split
from globe.errors import InputError

HELD_OUT = "held out"
"""What reports call this curation's own test set."""
PLACE_HELD_OUT = "place_held_out"
"""Reason why a picture is used for nothing: the test set has its city as an unseen one, and is full."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a picture.

    Attributes:
        split: Where it belongs.
        reason: Why it is left out of every set all the same, as a name; "" for a picture that is used.
        leak_of: Id of the test picture that it would give away; "" if it is used, or left out for another reason.
        test_set: The test set which that picture is of; `HELD_OUT` for this curation's own.
    """

    split: Split
    reason: str = ""
    leak_of: str = ""
    test_set: str = ""


class Splitter:
    """Decides each picture's split, and which pictures may not be trained on because a test set has something of theirs.

    Used in two passes over the same pictures: `learn` of all, then `decide` for each. What is decided for a picture does not
    depend on how the source was cut into parts. Memory grows with the test sets and not with the source.

    Args:
        recipe: What is held out, and what counts as a leak.
        own_split: Whether the source names its own test rows, which are then the split.
        test_sets: Facts of the data sets, beside the pictures held out, that nothing of may be trained on, by name
            (`globe.curation.guard.facts.facts_of_set`). Read at once.

    Raises:
        InputError: A test set is called as this curation's own, which it would replace.
    """

    def __init__(self, recipe: CurationRecipe, own_split: bool, test_sets: Mapping[str, Iterable[Facts]] | None = None) -> None:
        if HELD_OUT in (test_sets or {}):
            raise InputError(f"test_sets: {HELD_OUT!r} is what reports call the pictures held out; name it as './{HELD_OUT}'")
        self._recipe = recipe
        self._held_out: _OwnSplit | _HoldOut = _OwnSplit() if own_split else _HoldOut(recipe)
        self._own_split = own_split
        self._repeated: dict[str | bytes, str] = {}
        """By id and by picture, the id of a test row that is quarantined because it repeats another row."""
        self._further = {name: _columns(facts) for name, facts in (test_sets or {}).items()}
        self._guard: Guard | None = None
        self._sizes: dict[str, int] = {}
        self._left_out: dict[str, Counter[str]] = {}

    def learn(self, facts: Facts) -> None:
        """First pass: note what a picture, if it is held out, keeps others from being trained on."""
        self._held_out.learn(facts)

    def learn_repeated(self, row_id: str, sha256: bytes, split: str) -> None:
        """First pass: note a row that is quarantined because it repeats another one, which the source may have to train on.

        Args:
            row_id: Its id.
            sha256: Of its picture.
            split: As the source has it.
        """
        if self._own_split and split == "test":
            for key_of in (row_id, sha256):
                self._repeated.setdefault(key_of, row_id)

    def decisions(self, facts: Iterable[Facts]) -> Iterator[Decision]:
        """Second pass, in order; looked up in batches, which takes far less time than one by one."""
        pictures = iter(facts)
        while batch := list(islice(pictures, BATCH_ROWS)):
            yield from self._decide(batch)

    def decide(self, facts: Facts) -> Decision:
        """Second pass, for one picture."""
        return self._decide([facts])[0]

    def report(self) -> dict[str, Any]:
        """Figures of what is held out and what was left out because of it, once all are decided; for curation.json."""
        self._ready()
        left_out = {name: dict(sorted(counts.items())) for name, counts in sorted(self._left_out.items())}
        return {"test_sets": dict(self._sizes), "left_out": left_out, **self._held_out.report()}

    def _decide(self, batch: list[Facts]) -> list[Decision]:
        guard = self._ready()
        decided = [self._held_out.decide(facts) for facts in batch]
        trained = [number for number, decision in enumerate(decided) if decision.split == "train" and not decision.reason]
        for number, leak in zip(trained, guard.leaks([batch[number] for number in trained]), strict=True):
            if leak is not None:
                decided[number] = Decision("train", leak.reason, leak.test_id, leak.test_set)
            elif repeated := self._gives_away(batch[number]):
                decided[number] = repeated
        for decision in decided:
            if decision.reason:
                self._left_out.setdefault(decision.test_set, Counter())[decision.reason] += 1
        return decided

    def _gives_away(self, facts: Facts) -> Decision | None:
        """What is decided for a picture that the source has once to train on and once, quarantined for it, to test with."""
        if self._recipe.same_id and facts.id in self._repeated:
            return Decision("train", SAME_ID, facts.id, HELD_OUT)
        test_id = self._repeated.get(facts.sha256)
        return Decision("train", SAME_PICTURE, test_id, HELD_OUT) if test_id is not None else None

    def _ready(self) -> Guard:
        if self._guard is None:
            tests = {HELD_OUT: self._held_out.close(), **self._further}
            self._sizes = {name: table.num_rows for name, table in tests.items()}
            self._guard = Guard(self._recipe, tests)
        return self._guard


class _OwnSplit:
    """The split that the source has."""

    def __init__(self) -> None:
        self._tests = _Lowest(None)

    def learn(self, facts: Facts) -> None:
        if facts.split == "test":
            self._tests.add(0.0, facts)

    def close(self) -> pa.Table:
        return self._tests.take()[0]

    def decide(self, facts: Facts) -> Decision:
        return Decision(facts.split)

    def report(self) -> dict[str, Any]:
        return {}


class _HoldOut:
    """Holds pictures out by a hash of their ids, so that a picture's split doesn't depend on which others there are.

    Of a share s of pictures to hold out, of which a share u is to be of unseen places, a share u * s of the cities is held out as
    a whole, by a hash of the city, and of the others' pictures so many that it makes s in all. If there is a limit, the pictures
    with the lowest hashes are taken. Only if one split would be left empty does the picture nearest to the threshold change
    sides.
    """

    def __init__(self, recipe: CurationRecipe) -> None:
        self._seed, limit = recipe.seed, recipe.max_test_rows
        self._place_share = recipe.unseen_place_share * recipe.test_share
        self._max_population = recipe.unseen_place_max_population
        self._share = (recipe.test_share - self._place_share) / (1 - self._place_share)
        self._limit = limit
        self._unseen = _Lowest(limit if limit is None else round(limit * recipe.unseen_place_share))
        self._seen = _Lowest(limit)
        self._rows = self._trained = 0
        self._lowest: tuple[float, Facts] | None = None
        self._cuts = (-1.0, -1.0)
        self._unseen_places: set[str] = set()
        self._figures: dict[str, Any] = {}

    def learn(self, facts: Facts) -> None:
        rank = unit_hash(facts.id, self._seed)
        self._rows += 1
        if self._is_unseen(facts):
            self._unseen.add(rank, facts)
        elif rank < self._share:
            self._seen.add(rank, facts)
        else:
            self._trained += 1
            if self._lowest is None or rank < self._lowest[0]:
                self._lowest = rank, facts

    def close(self) -> pa.Table:
        unseen, unseen_cut = self._unseen.take()
        room = None if self._limit is None else self._limit - unseen.num_rows
        if self._rows > 1 and (self._share or self._place_share):
            if self._lowest and not self._unseen.added and not self._seen.added:
                self._seen.add(*self._lowest)
            elif not self._trained and self._seen.added and (room is None or room >= self._seen.added):
                room = self._seen.added - 1
        seen, seen_cut = self._seen.take(room)
        self._cuts = (seen_cut, unseen_cut)
        self._unseen_places = {place_of(facts)[0] for facts in from_table(unseen)}
        if self._place_share:
            self._figures = {"unseen_places": len(self._unseen_places), "of_unseen_places": unseen.num_rows}
        return pa.concat_tables([seen, unseen])

    def decide(self, facts: Facts) -> Decision:
        unseen = self._is_unseen(facts)
        if unit_hash(facts.id, self._seed) <= self._cuts[unseen]:
            return Decision("test")
        if unseen and place_of(facts)[0] in self._unseen_places:
            return Decision("train", PLACE_HELD_OUT, test_set=HELD_OUT)
        return Decision("train")  # of a city that the limit has left no picture of in the test set, too

    def report(self) -> dict[str, Any]:
        return self._figures

    def _is_unseen(self, facts: Facts) -> bool:
        """Whether all pictures of its city are held out. A picture whose city nobody knows is of none."""
        if not self._place_share or not facts.city:
            return False
        place, population = place_of(facts)
        too_large = self._max_population is not None and population > self._max_population
        return not too_large and unit_hash(place, self._seed) < self._place_share


class _Lowest:
    """The facts of the pictures with the lowest ranks, as columns, in the order in which they came.

    Args:
        limit: No more are kept; None keeps all.
    """

    def __init__(self, limit: int | None) -> None:
        self.added = 0
        """Pictures that came, kept or not."""
        self._limit = limit
        self._pending: list[tuple[float, Facts]] = []
        self._ranks, self._tables = np.zeros(0), [SCHEMA.empty_table()]

    def add(self, rank: float, facts: Facts) -> None:
        self.added += 1
        self._pending.append((rank, facts))
        if len(self._pending) >= BATCH_ROWS:
            self._settle(self._limit)

    def take(self, limit: int | None = None) -> tuple[pa.Table, float]:
        """The pictures, and the highest of their ranks; -1 if there are none. A limit may be set below the first one."""
        self._settle(self._limit if limit is None else limit)
        return pa.concat_tables(self._tables), float(self._ranks.max(initial=-1.0))

    def _settle(self, limit: int | None) -> None:
        if self._pending:
            ranks, facts = zip(*self._pending, strict=True)
            self._ranks = np.concatenate([self._ranks, ranks])
            self._tables.append(to_table(facts))
            self._pending = []
        if limit is not None and len(self._ranks) > limit:
            kept = np.sort(np.argsort(self._ranks, kind="stable")[:limit])
            self._ranks = self._ranks[kept]
            self._tables = [pa.concat_tables(self._tables).take(kept)]


def _columns(facts: Iterable[Facts]) -> pa.Table:
    gathered = _Lowest(None)
    for one in facts:
        gathered.add(0.0, one)
    return gathered.take()[0]


def unit_hash(text: str, seed: int) -> float:
    """Hash a text to [0, 1)."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
