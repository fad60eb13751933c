"""The classes of a segmentation model, and what it can testify about with them.

A model with the class "bus" can say whether a red double-decker bus is there, and one with "brick wall" that a wall is. It says
nothing about a bus stop, which is no bus, nor about a kasbah, for which it has no class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from globe.entities.matching import Thing, thing_of

_SYNONYMS = re.compile(r"[,;/]")
"""ADE20K's "building, edifice" is one class with two names."""
_FILLERS = re.compile(r"-(?:other|merged|stuff)\b")
"""COCO's "tree-merged" and "wall-other" are trees and walls."""


class Covering(NamedTuple):
    """What a model's classes have to do with a thing."""

    classes: frozenset[str]
    """Those that show it when they are seen."""
    decides: bool
    """Whether it would belong to one of these wherever it is, so that it is not there when none of them is seen."""


_NOTHING = Covering(frozenset(), False)
Words = tuple[str, ...]


class Classes:
    """The classes of one segmentation model.

    Args:
        names: As the model names them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[Words, frozenset[str]] = {}
        self._ending: dict[Words, frozenset[str]] = {}
        for name in names:
            for words in _readings(name):
                self._exact[words] = self._exact.get(words, frozenset()) | {name}
                for at in range(len(words)):
                    self._ending[words[at:]] = self._ending.get(words[at:], frozenset()) | {name}

    def covering(self, thing: Thing) -> Covering:
        """The classes that a thing belongs to: the most exact ones that its name ends with, and more exact ones of its kind."""
        if thing.words[-1:] not in self._ending:
            return _NOTHING
        more_exact = self._ending.get(thing.words, frozenset())
        for at in range(len(thing.words)):
            found = self._exact.get(thing.words[at:])
            if found:
                return Covering(found | more_exact, True)
        return Covering(more_exact, False) if more_exact else _NOTHING

    def see(self, thing: Thing, shares: Mapping[str, float], min_share: float) -> bool | None:
        """Whether a thing is in a picture.

        Args:
            thing: What to look for; its colours are not checked, since a class has none.
            shares: Share of the picture's pixels by class.
            min_share: The least share that counts as seen.

        Returns:
            None when the classes don't cover it.
        """
        classes, decides = self.covering(thing)
        if classes and sum(shares.get(name, 0.0) for name in classes) >= min_share:
            return True
        return False if decides else None


def _readings(name: str) -> set[Words]:
    """The words of each of a class's names; COCO's "wall-brick" is also a brick wall."""
    found = set()
    for synonym in _SYNONYMS.split(_FILLERS.sub("", name)):
        head, _, kind = synonym.partition("-")
        found |= {thing_of(synonym).words, thing_of(f"{kind} {head}").words}
    return found - {()}
