"""Visual elements as words: finding them in a reasoning, and comparing one teacher's with another's."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set

from globe.geo.normalize import fold

Phrase = tuple[str, ...]

MAX_PHRASE_WORDS = 5
_WORD = re.compile(r"[^\W_]+")
# Words that say nothing about what is seen: they are dropped before and inside a phrase.
_FILLERS = frozenset(
    (
        *("a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "with", "is", "are", "was", "it", "its", "there"),
        *("this", "that", "these", "those", "some", "many", "few", "several", "by", "for"),
    )
)
_NEGATORS = frozenset(("no", "not", "without", "never", "neither", "nor", "lack", "lacks", "lacking", "absence", "hardly"))
_CLAUSE_END = re.compile(r"[.,;:!?()\n]|\bbut\b|\byet\b", re.IGNORECASE)


def words_of(text: str) -> list[str]:
    """Return folded words in singular form, so that "Palm trees" and "a palm tree" meet; fillers are left out."""
    return [_singular(word) for word in _WORD.findall(fold(text)) if word not in _FILLERS]


def phrase_of(element: str) -> Phrase:
    """Return an element as comparable words; empty when nothing is left, or when it is too long to be one."""
    words = tuple(words_of(element))
    return words if len(words) <= MAX_PHRASE_WORDS else ()


def named_in(reasoning: str, phrases: Set[Phrase]) -> list[Phrase]:
    """Find the phrases that a text names, the longest one at each place, each once, in order.

    "left traffic" is found as itself and not as "traffic"; whole words count, so "scarce" names no car; what a clause
    denies ("no palms") isn't named.
    """
    found: dict[Phrase, None] = {}
    for clause in _CLAUSE_END.split(reasoning):
        words = words_of(clause)
        position = 0
        while position < len(words) and words[position] not in _NEGATORS:
            for length in range(min(MAX_PHRASE_WORDS, len(words) - position), 0, -1):
                phrase = tuple(words[position : position + length])
                if phrase in phrases:
                    found[phrase] = None
                    position += length
                    break
            else:
                position += 1
    return list(found)


def is_seen(phrase: Phrase, elements: Iterable[Phrase]) -> bool:
    """Tell whether a phrase is among elements: as itself, or as part of a more exact one ("roof" in "red roof")."""
    return any(set(phrase) <= set(element) for element in elements)


class Vocabulary:
    """The elements that teachers see anywhere: what can be recognized as an entity in a reasoning.

    An invented entity need not be in its own teacher's list, so a reasoning is also searched for what others list. A
    phrase enters only when two teachers use it, so one teacher can't turn common words into entities.
    """

    def __init__(self) -> None:
        self._users: defaultdict[Phrase, set[str]] = defaultdict(set)
        self._shared: frozenset[Phrase] | None = None

    def add(self, teacher: str, elements: Iterable[str]) -> None:
        """Note the elements that a teacher listed for a picture."""
        for element in elements:
            phrase = phrase_of(element)
            if phrase:
                self._users[phrase].add(teacher)
        self._shared = None

    def shared(self) -> frozenset[Phrase]:
        """Return the phrases that at least two teachers use."""
        if self._shared is None:
            self._shared = frozenset(phrase for phrase, users in self._users.items() if len(users) > 1)
        return self._shared


def corroborated(lists: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the elements of one picture that at least two teachers list, in the first teacher's words, each once."""
    phrases = {name: {phrase_of(e): e for e in elements if phrase_of(e)} for name, elements in lists.items()}
    result: dict[Phrase, str] = {}
    for name, own in phrases.items():
        others = [phrase for other, listed in phrases.items() if other != name for phrase in listed]
        for phrase, element in own.items():
            if phrase not in result and is_seen(phrase, others):
                result[phrase] = element
    return list(result.values())


def _singular(word: str) -> str:
    """Drop a plural's ending, the same way wherever a word stands; exactness of English is not needed for that."""
    if len(word) <= 3 or not word.isascii() or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2]
    return word[:-1]
