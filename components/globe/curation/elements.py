"""The visual elements that teachers list: what counts as one, which other teachers see it, and which ones a reasoning names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from globe.entities.matching import Known, Thing, known, thing_of

MAX_ELEMENT_WORDS = 5


def element_of(text: str) -> Thing:
    """Reads an element that a teacher lists; it has no words if the text names nothing or is too long to be an element."""
    thing = thing_of(text)
    return thing if len(thing.words) <= MAX_ELEMENT_WORDS else Thing(())


def elements_of(texts: Iterable[str]) -> dict[Thing, str]:
    """Reads a teacher's elements; of several texts for the same thing, the last one is kept."""
    return {thing: text for text in texts if (thing := element_of(text)).words}


def is_seen(thing: Thing, elements: Iterable[Thing]) -> bool:
    """Whether a thing is among elements: as itself, or as part of a more exact one ("roof" in "red roof")."""
    return any(element.shows(thing) for element in elements)


class Vocabulary:
    """The elements that teachers list for any picture: what can be recognized as an entity in a reasoning.

    A teacher may invent an entity without listing it, so a reasoning is also searched for what other teachers list. A
    thing is included only if two teachers list it, so that one teacher alone can't turn common words into entities.
    """

    def __init__(self) -> None:
        self._users: defaultdict[Thing, set[str]] = defaultdict(set)
        self._shared: Known | None = None

    def add(self, teacher: str, elements: Iterable[str]) -> None:
        """Note the elements that a teacher listed for a picture."""
        for thing in elements_of(elements):
            self._users[thing].add(teacher)
        self._shared = None

    def shared(self) -> Known:
        """Return the things that at least two teachers list."""
        if self._shared is None:
            self._shared = known(thing for thing, users in self._users.items() if len(users) > 1)
        return self._shared


def corroborated(lists: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the elements of one picture that at least two teachers list, in the first teacher's words, each once."""
    things = {name: elements_of(elements) for name, elements in lists.items()}
    result: dict[Thing, str] = {}
    for name, own in things.items():
        others = [thing for other, listed in things.items() if other != name for thing in listed]
        for thing, text in own.items():
            if thing not in result and is_seen(thing, others):
                result[thing] = text
    return list(result.values())
