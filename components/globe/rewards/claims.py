"""What a reasoning claims to see, and whether a picture's entities bear it out. Shared by both visual rewards.

A claim is a known visual word (:mod:`globe.rewards.vocabulary`, and the row's own entities), whole and inflected, that is
not negated, together with the colours said of it. It is borne out when an entity of the row has the same word and does not
contradict the colour. Claims are judged word by word ("palm tree" is a palm and a tree): so no order or insertion of
further words turns an unsupported claim into a supported one.

Negation reaches to the end of its clause; a comma ends it unless the list goes on with "or" or "nor". "absent" and
"missing" also reach back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from globe.rewards.score import tokenize
from globe.rewards.vocabulary import BREAKS, CLAUSE_WORDS, COLOURS, NEGATORS, NOUNS, colour, plural, singular

LIST_CLAIMS = 8
"""A reasoning may claim this many things beyond twice the picture's own before it counts as a list of words."""

_SIDES = frozenset(("left", "right"))
_SIDE_AFTER = frozenset(("hand", "side", "lane"))
_BACKWARD = frozenset(("absent", "missing"))
_STOP_WORDS = BREAKS | frozenset("style type like this that these those there their its some many few several old new large small big".split())
_ROLES = frozenset(NOUNS) | COLOURS | NEGATORS | CLAUSE_WORDS | BREAKS | _SIDES | frozenset((".", ","))

Claims = dict[str, set[frozenset[str]]]
"""Word -> the sets of colours said of it, one for each mention."""


class RowEntities(NamedTuple):
    """A row's entities, prepared."""

    words: dict[str, list[frozenset[str]]]  # each word -> colours of each entity that has it
    extra: dict[str, str]  # forms of words that the vocabulary lacks -> singular
    phrases: tuple[tuple[str, frozenset[str], frozenset[str]], ...]  # name, its words, its colours


@lru_cache(maxsize=4096)
def prepare(entities: tuple[str, ...]) -> RowEntities:
    """Reads a row's entities into words and colours."""
    words: dict[str, list[frozenset[str]]] = {}
    extra: dict[str, str] = {}
    phrases = []
    for entity in entities:
        tokens = [t for t in tokenize(entity[:200]) if t not in (".", ",")]
        colours = frozenset(c for t in tokens if t in COLOURS and (c := colour(t)))
        nouns = set()
        for i, token in enumerate(tokens):
            if token in COLOURS or token in _STOP_WORDS or token in NEGATORS:
                continue
            if token in _SIDES and not _is_side(tokens, i):
                continue
            base = NOUNS.get(token) or singular(token)
            nouns.add(base)
            if token not in NOUNS and token not in _SIDES:
                extra[base] = extra[plural(base)] = extra[token] = base
        if not nouns and colours:  # an entity that is only a colour says too little to bear out anything
            continue
        for noun in nouns:
            words.setdefault(noun, []).append(colours)
        if nouns:
            phrases.append((entity, frozenset(nouns), colours))
    return RowEntities(words, extra, tuple(dict.fromkeys(phrases)))


def _is_side(tokens: Sequence[str], i: int) -> bool:
    return (i > 0 and tokens[i - 1] == "the") or (i + 1 < len(tokens) and tokens[i + 1] in _SIDE_AFTER)


@lru_cache(maxsize=1024)
def _claims_cached(tokens: tuple[str, ...]) -> Claims:
    return _find(tokens, {})


def find_claims(tokens: tuple[str, ...], extra: dict[str, str]) -> Claims:
    """The things that a text's tokens claim; ``extra`` holds a row's words that the vocabulary lacks."""
    if extra and not extra.keys().isdisjoint(tokens):
        return _find(tokens, extra)
    return _claims_cached(tokens) if len(tokens) < 4000 else _find(tokens, {})


def judged(claims: Claims, row: RowEntities) -> Claims:
    """The claims that this row can judge: a side of the road only where an entity tells one."""
    if _SIDES.isdisjoint(claims) or not _SIDES.isdisjoint(row.words):
        return claims
    return {noun: said for noun, said in claims.items() if noun not in _SIDES}


def _find(tokens: tuple[str, ...], extra: dict[str, str]) -> Claims:
    claims: Claims = {}
    clause: list[tuple[str, frozenset[str]]] = []  # affirmed so far in this clause
    negated = reaches_back = False
    colours: frozenset[str] = frozenset()
    for i, token in enumerate(tokens):
        if token not in _ROLES and token not in extra:
            continue
        noun = NOUNS.get(token) or extra.get(token)
        if noun is not None and not (token in COLOURS and token not in extra):
            if not negated:
                clause.append((noun, colours))
        elif token == "." or token in CLAUSE_WORDS:
            if not reaches_back:
                _keep(claims, clause)
            clause, negated, reaches_back, colours = [], False, False, frozenset()
        elif token == ",":
            colours = frozenset()
            if negated and not _list_goes_on(tokens, i):
                negated = False
                _keep(claims, clause if not reaches_back else [])
                clause, reaches_back = [], False
        elif token in NEGATORS:
            negated = True
            reaches_back = reaches_back or token in _BACKWARD
        elif token in COLOURS:
            said = colour(token)
            if said:
                colours = colours | {said}
        elif token in _SIDES:
            if not negated and _is_side(tokens, i):
                clause.append((token, frozenset()))
        else:
            colours = frozenset()
    if not reaches_back:
        _keep(claims, clause)
    return claims


def _keep(claims: Claims, clause: list[tuple[str, frozenset[str]]]) -> None:
    for noun, colours in clause:
        claims.setdefault(noun, set()).add(colours)


def _list_goes_on(tokens: Sequence[str], at: int) -> bool:
    """Whether the comma at a position stands in a list that ends in "or" or "nor": "no cars, churches or palms"."""
    for token in tokens[at + 1 : at + 40]:
        if token in ("or", "nor"):
            return True
        if token == "." or token in CLAUSE_WORDS:
            return False
    return False


def borne_out(noun: str, mentions: set[frozenset[str]], row: RowEntities) -> bool:
    """Whether every mention of a word fits an entity: same word, no other colour said of it."""
    known = row.words.get(noun)
    if known is None:
        return False
    return all(any(not said or not true or said <= true for true in known) for said in mentions)


def too_many(claims: Claims, row: RowEntities) -> bool:
    """Whether so much is claimed that it is a list of words rather than a reasoning."""
    return len(claims) > 2 * len(row.words) + LIST_CLAIMS
