"""Which things a text claims to see: one definition for curation, which keeps them, and for the rewards, which check them.

``named(text, things)`` finds what the text says and does not deny, in any inflection and spelling, with the colours said of it:

    >>> things = known(map(thing_of, ["church", "red roofs", "palm tree"]))
    >>> [str(mention.thing) for mention in named("Red roofs, churches, but palm trees are not visible.", things)]
    ['red roof', 'church']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from globe.entities.negation import NEGATORS, denied
from globe.entities.vocabulary import CLAUSE_WORDS, COLOURS, FUNCTION_WORDS, NOUNS, SHADES, VAGUE_WORDS, noun_of
from globe.entities.words import tokenize

_NO_COLOUR = frozenset[str]()
_COLOUR_ENDS = FUNCTION_WORDS | CLAUSE_WORDS | {".", ","}
_PHRASE_ENDS = CLAUSE_WORDS | NEGATORS | {".", ","}
_PASSED_OVER = FUNCTION_WORDS | VAGUE_WORDS


class Thing(NamedTuple):
    """A visual thing, such as an element that a teacher lists or an entity of a row."""

    words: tuple[str, ...]
    """Its nouns, each in the one form that stands for all (:func:`globe.entities.vocabulary.noun_of`); empty for no thing."""
    colours: frozenset[str] = _NO_COLOUR

    def __str__(self) -> str:
        return " ".join([*sorted(self.colours), *self.words])

    def shows(self, other: Thing) -> bool:
        """Whether who sees this also sees the other: "red roof" shows "roof", and not the other way round."""
        return other.colours <= self.colours and set(self.words).issuperset(other.words)


class Mention(NamedTuple):
    """A thing that a text claims to see."""

    thing: Thing
    colours: frozenset[str]
    """What the text says of its colour; the thing itself may have none."""


class Known:
    """Things to look for in texts. Looking costs the same however many there are.

    Args:
        things: The things; those without words are passed over.
        others: Others gathered before, which are not copied.
    """

    __slots__ = ("layers",)

    def __init__(self, things: Iterable[Thing], others: Known | None = None) -> None:
        below = others.layers if others else ()
        own = _Layer({}, {})
        for words, colours in things:
            for layer in below:
                if words in layer.variants and colours in layer.variants[words]:
                    break
            else:
                own.add(words, colours)
        self.layers: tuple[_Layer, ...] = (own, *below) if own.variants else below

    def __iter__(self) -> Iterator[Thing]:
        variants = (entry for layer in self.layers for entry in layer.variants.items())
        return (Thing(words, colours) for words, found in variants for colours in found)


class _Layer(NamedTuple):
    """Things gathered at one time."""

    variants: dict[tuple[str, ...], set[frozenset[str]]]
    """By their words, the colours of all with these words."""
    longest: dict[str, int]
    """By their first words, how many words the longest has."""

    def add(self, words: tuple[str, ...], colours: frozenset[str]) -> None:
        """Take in a thing; nothing for one without words."""
        if words:
            self.variants.setdefault(words, set()).add(colours)
            if len(words) > self.longest.get(words[0], 0):
                self.longest[words[0]] = len(words)


def known(things: Iterable[Thing], others: Known | None = None) -> Known:
    """Gathers things to look for in texts, beside others gathered before."""
    return Known(things, others)


VISUAL = known(Thing((noun,)) for noun in NOUNS.values())
"""Every known visual word."""


def thing_of(text: str) -> Thing:
    """Reads the name of one thing, such as ``"the dark red roofs"``; what it denies ("no snow") is left out."""
    tokens = tokenize(text)
    claims = _claims_of(tokens)
    colours = _NO_COLOUR.union(*(SHADES[token] for token in tokens if token in COLOURS))
    return Thing(tuple(filter(None, claims.nouns)), colours)


def named(text: str, things: Known) -> list[Mention]:
    """Finds the things that a text claims to see, in order: the longest of those that begin at a word.

    A thing without a colour is named whatever colour the text gives it, one with colours only with these and no others.

    Args:
        text: A reasoning.
        things: The things to look for.
    """
    claims = _claims_of(tokenize(text))
    longest: dict[int, int] = {}
    for layer in things.layers:
        for at, noun in enumerate(claims.nouns):
            length = layer.longest.get(noun, 0)
            if length and length > longest.get(at, 0):
                longest[at] = length
    mentions = []
    done = 0
    for at in sorted(longest):
        mention = _mention(claims, at, longest[at], things.layers) if at >= done else None
        if mention:
            mentions.append(mention)
            done = at + len(mention.thing.words)
    return mentions


def _mention(claims: _Claims, at: int, longest: int, layers: Sequence[_Layer]) -> Mention | None:
    """The longest thing that is named at a word; of several, the one with the colours that are said."""
    for length in range(longest, 0, -1):
        words = claims.nouns[at : at + length]
        found = [layer.variants[words] for layer in layers if words in layer.variants]
        if found:
            said = claims.said_of(at, length)
            for colours in (said, _NO_COLOUR) if said else (_NO_COLOUR,):
                for variants in found:
                    if colours in variants:
                        return Mention(Thing(words, colours), said)
    return None


class _Claims(NamedTuple):
    """The words of a text that may name something and are not denied, in order."""

    tokens: Sequence[str]
    """All words of the text."""
    nouns: tuple[str, ...]
    """The forms that stand for these words; "" where a phrase ends."""
    places: list[int]
    """Where in the text they stand."""

    def said_of(self, at: int, length: int) -> frozenset[str]:
        """The colours said of some of them, before each in the same phrase: "green tiled church roof" says green of all three."""
        said = _NO_COLOUR
        for place in self.places[at : at + length]:
            while place and (token := self.tokens[place - 1]) not in _COLOUR_ENDS:
                place -= 1
                if token in COLOURS:
                    said |= SHADES[token]
        return said


class _Nouns(dict[str, str | None]):
    """What each word is as a noun: "" where it ends a phrase, None where it is passed over. Remembers many words, not all."""

    def __missing__(self, word: str) -> str | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        passed_over = word in COLOURS or (word in _PASSED_OVER and word not in _PHRASE_ENDS)
        self[word] = noun = None if passed_over else "" if word in _PHRASE_ENDS else noun_of(word)
        return noun


_REMEMBERED = 65536
_noun = _Nouns()


def _claims_of(tokens: Sequence[str]) -> _Claims:
    places = [at for at, token in enumerate(tokens) if _noun[token] is not None]
    not_there = denied(tokens)
    nouns = tuple([_noun[tokens[at]] or "" if at not in not_there else "" for at in places])
    return _Claims(tokens, nouns, places)
