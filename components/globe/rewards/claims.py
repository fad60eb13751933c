"""What a reasoning claims to see, and whether a picture's entities bear it out. Shared by both visual rewards.

A claim is a known visual word or one of the row's own entities', as :func:`globe.entities.matching.named` finds it, with the
colours said of it. It is borne out when an entity of the row has the same word and does not contradict the colour. Claims are
judged word by word ("palm tree" is a palm and a tree): so no order or insertion of further words turns an unsupported claim
into a supported one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from globe.entities.matching import VISUAL, Thing, known, named, thing_of
from globe.entities.vocabulary import SIDES

MAX_ENTITY_CHARS = 200
LIST_CLAIMS = 8
"""A reasoning may claim this many things beyond twice the picture's own before it counts as a list of words."""

Claims = dict[str, list[frozenset[str]]]
"""Each word that a reasoning claims -> the colours said of it at each mention; none for a mention without."""


class Picture(NamedTuple):
    """What a row's entities say of its picture."""

    things: tuple[Thing, ...]
    """The entities, each once."""
    words: dict[str, list[frozenset[str]]]
    """Each of their words -> the colours of each entity that has it."""
    own: tuple[Thing, ...]
    """Their words one by one, to look for beside the vocabulary's."""


@lru_cache(maxsize=4096)
def picture_of(entities: tuple[str, ...]) -> Picture:
    """Reads a row's entities; those that name nothing, such as a mere colour, bear out nothing."""
    things = tuple(dict.fromkeys(thing for entity in entities if (thing := thing_of(entity[:MAX_ENTITY_CHARS])).words))
    words: dict[str, list[frozenset[str]]] = {}
    for thing in things:
        for word in dict.fromkeys(thing.words):
            words.setdefault(word, []).append(thing.colours)
    # Left and right count only where a row tells a side: elsewhere they say where in the picture a thing is.
    sides = SIDES if not SIDES.isdisjoint(words) else ()
    return Picture(things, words, tuple(Thing((word,)) for word in (*words, *sides)))


@lru_cache(maxsize=128)  # both visual rewards ask about the same reasonings
def claims_of(reasoning: str, entities: tuple[str, ...]) -> Claims:
    """The things that a reasoning claims, as far as a row with these entities can judge them."""
    return claims_among(reasoning, picture_of(entities).own)


def claims_among(reasoning: str, things: Iterable[Thing]) -> Claims:
    """Those of the vocabulary's things and of some others, single words, that a reasoning claims."""
    claims: Claims = {}
    for mention in named(reasoning, known(things, VISUAL)):
        claims.setdefault(mention.thing.words[0], []).append(mention.colours)
    return claims


def unsupported(claims: Claims, picture: Picture) -> list[str]:
    """The words claimed that no entity has, or of which a colour is said that no entity with that word has."""

    def is_there(word: str, said: frozenset[str]) -> bool:
        return any(not true or said <= true for true in picture.words.get(word, ()))

    return sorted(word for word, mentions in claims.items() if not all(is_there(word, said) for said in mentions))


def is_claimed(thing: Thing, claims: Claims) -> bool:
    """Whether each of a thing's words is claimed at least once with no colour that it does not have."""
    return all(any(not thing.colours or said <= thing.colours for said in claims.get(word, ())) for word in thing.words)


def too_many(claims: Claims, picture: Picture) -> bool:
    """Whether so many things are claimed that it is a list of words rather than a reasoning."""
    return len(claims) > 2 * len(picture.words) + LIST_CLAIMS
