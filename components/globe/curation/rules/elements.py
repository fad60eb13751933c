"""The visual elements that teachers list: what counts as one, and which other teachers see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache

from globe.entities.matching import Thing, thing_of

MAX_ELEMENT_WORDS = 5


@lru_cache(maxsize=65536)  # teachers list the same things again and again
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


class Elements:
    """What one teacher lists for a picture, to be looked up.

    Attributes:
        texts: Each thing in the teacher's words.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        self.texts = elements_of(listed)

    @cached_property
    def _by_word(self) -> dict[str, list[Thing]]:
        found: dict[str, list[Thing]] = {}
        for thing in self.texts:
            for word in thing.words:
                found.setdefault(word, []).append(thing)
        return found

    def show(self, thing: Thing) -> bool:
        """Whether a thing is among them (`is_seen`)."""
        return thing in self.texts or is_seen(thing, self._by_word.get(thing.words[0], ()))

    def text_of(self, thing: Thing) -> str:
        """A thing in the teacher's words, if it lists it, or else in ours."""
        return self.texts.get(thing) or str(thing)


def corroborated(lists: Mapping[str, Elements]) -> list[str]:
    """Return the elements of one picture that at least two teachers list, in the first teacher's words, each once."""
    result: dict[Thing, str] = {}
    for name, own in lists.items():
        others = [elements for other, elements in lists.items() if other != name]
        for thing, text in own.texts.items():
            if thing not in result and any(elements.show(thing) for elements in others):
                result[thing] = text
    return list(result.values())
