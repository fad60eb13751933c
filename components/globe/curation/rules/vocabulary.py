"""The elements that teachers list for any picture of a curation: what can be recognized as an entity in a reasoning."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

from globe.curation.rules.classes import Classes
from globe.curation.rules.elements import elements_of
from globe.curation.teachers.replies import Record
from globe.data.scratch import scratch_database
from globe.entities.matching import Known, Thing, known

MAX_SHARED = 200_000
"""Most things kept of a vocabulary: some 100 MB."""
_BUFFERED = 100_000
_TABLE = "CREATE TABLE listed (thing TEXT, teacher TEXT, times INTEGER, PRIMARY KEY (thing, teacher)) WITHOUT ROWID"
_COUNT = "INSERT INTO listed VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET times = times + excluded.times"
_SHARED = """
SELECT thing FROM listed GROUP BY thing HAVING count(*) > 1 ORDER BY sum(times) DESC, thing LIMIT ?
"""


class Vocabulary:
    """What teachers list, whatever the picture, and which classes the segmentation models have.

    A teacher may invent an entity without listing it, so a reasoning is also searched for what other teachers list. A
    thing is included only if two teachers list it, so that one teacher alone can't turn common words into entities.

    Memory does not grow with the pictures: things are counted in a temporary database on disk, and of those that two teachers
    list only the most listed are used, of equals the first in the alphabet. So the order of pictures makes no difference.

    Args:
        max_shared: Most things to use.
    """

    def __init__(self, max_shared: int = MAX_SHARED) -> None:
        self._max_shared = max_shared
        self._new: Counter[tuple[Thing, str]] = Counter()
        self._counts: sqlite3.Connection | None = None
        self._shared: Known | None = None
        self._class_names: dict[str, set[str]] = {}
        self._classes: dict[str, Classes] = {}

    def learn(self, record: Record) -> None:
        """Note what a teacher replied about a picture; replies that hold nothing for a vocabulary are passed over."""
        if record.vlm is not None:
            self.add(record.teacher, record.vlm.elements)
        if record.segmentation is not None:
            self.add_classes(record.teacher, (*record.segmentation.known, *record.segmentation.shares))

    def add(self, teacher: str, elements: Iterable[str]) -> None:
        """Note the elements that a teacher listed for a picture."""
        for thing in elements_of(elements):
            self._new[thing, teacher] += 1
        self._shared = None
        if len(self._new) >= _BUFFERED:
            self._store()

    def add_classes(self, teacher: str, names: Iterable[str]) -> None:
        """Note classes that a segmentation model has."""
        have = self._class_names.setdefault(teacher, set())
        if not have.issuperset(names := set(names)):
            have |= names
            self._classes.pop(teacher, None)

    def shared(self) -> Known:
        """Return the things that at least two teachers list."""
        if self._shared is None:
            rows = self._store().execute(_SHARED, (self._max_shared,))
            self._shared = known(_thing_of_key(key) for (key,) in rows)
        return self._shared

    def classes(self, teacher: str) -> Classes:
        """The classes of a segmentation model; none of one that nothing is known of."""
        if teacher not in self._classes:
            self._classes[teacher] = Classes(sorted(self._class_names.get(teacher, ())))
        return self._classes[teacher]

    def _store(self) -> sqlite3.Connection:
        """Move what was counted in memory to the disk."""
        if self._counts is None:
            self._counts = scratch_database()
            self._counts.execute(_TABLE)
            self._counts.execute("BEGIN")  # never committed: nobody else reads it
        rows = sorted((_key_of(thing), teacher, times) for (thing, teacher), times in self._new.items())
        self._counts.executemany(_COUNT, rows)
        self._new.clear()
        return self._counts


def _key_of(thing: Thing) -> str:
    return f"{' '.join(thing.words)}|{' '.join(sorted(thing.colours))}"  # no word has a space or a bar


def _thing_of_key(key: str) -> Thing:
    words, _, colours = key.partition("|")
    return Thing(tuple(words.split()), frozenset(colours.split()))
