"""Which things a text claims to see: one definition for curation, which keeps them, and for the rewards, which check them.

``named(text, things)`` finds what the text says and does not deny, in any inflection and spelling, with the colours said of it:

    >>> things = known(map(thing_of, ["church", "red roofs", "palm tree"]))
    >>> [str(mention.thing) for mention in named("Red roofs, churches, but palm trees are not visible.", things)]
    ['red roof', 'church']
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
        return set(other.words) <= set(self.words) and other.colours <= self.colours


class Mention(NamedTuple):
    """A thing that a text claims to see."""

    thing: Thing
    colours: frozenset[str]
    """What the text says of its colour; the thing itself may have none."""


Known = Mapping[str, Sequence[Thing]]
"""Things to look for in texts, by their first words; of those with the same one the longest come first."""


def known(things: Iterable[Thing], others: Known | None = None) -> Known:
    """Gathers things to look for in texts, beside others gathered before."""
    others = others or {}
    new: defaultdict[str, set[Thing]] = defaultdict(set)
    for thing in things:
        if thing.words:
            new[thing.words[0]].add(thing)
    return {**others, **{first: sorted(found.union(others.get(first, ())), key=_rank) for first, found in new.items()}}


def _rank(thing: Thing) -> tuple[int, int]:
    return -len(thing.words), -len(thing.colours)


VISUAL = known(Thing((noun,)) for noun in NOUNS.values())
"""Every known visual word."""


def thing_of(text: str) -> Thing:
    """Reads the name of one thing, such as ``"the dark red roofs"``; what it denies ("no snow") is left out."""
    claims = _claims_of(text)
    colours = _NO_COLOUR.union(*(SHADES[token] for token in tokenize(text) if token in COLOURS))
    return Thing(tuple(filter(None, claims.nouns)), colours)


def named(text: str, things: Known) -> list[Mention]:
    """Finds the things that a text claims to see, in order: the longest of those that begin at a word.

    A thing without a colour is named whatever colour the text gives it, one with colours only with these and no others.

    Args:
        text: A reasoning.
        things: The things to look for.
    """
    claims = _claims_of(text)
    mentions = []
    at = 0
    while at < len(claims.nouns):
        mention = _mention(claims, at, things.get(claims.nouns[at], ()))
        if mention:
            mentions.append(mention)
        at += len(mention.thing.words) if mention else 1
    return mentions


def _mention(claims: _Claims, at: int, things: Sequence[Thing]) -> Mention | None:
    """The first of some things that is named at a word."""
    for thing in things:
        end = at + len(thing.words)
        if claims.nouns[at:end] == thing.words:
            said = _NO_COLOUR.union(*claims.colours[at:end])
            if not thing.colours or thing.colours == said:
                return Mention(thing, said)
    return None


class _Claims(NamedTuple):
    """The words that may name something and are not denied, in order; "" where a phrase ends."""

    nouns: tuple[str, ...]
    colours: tuple[frozenset[str], ...]
    """Colours said of each, before it in the same phrase: "green tiled church roof" says green of all three."""


def _claims_of(text: str) -> _Claims:
    tokens = tokenize(text)
    not_there = denied(tokens)
    nouns: list[str] = []
    colours: list[frozenset[str]] = []
    said = _NO_COLOUR
    for at, token in enumerate(tokens):
        if token in _COLOUR_ENDS:
            said = _NO_COLOUR
        if token in COLOURS:
            said |= SHADES[token]
        elif token in _PHRASE_ENDS or at in not_there:
            nouns.append("")
            colours.append(_NO_COLOUR)
        elif token not in _PASSED_OVER:
            nouns.append(noun_of(token))
            colours.append(said)
    return _Claims(tuple(nouns), tuple(colours))
