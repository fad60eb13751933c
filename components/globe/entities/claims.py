"""What a reasoning claims to see, and whether a picture's entities bear it out. Shared by both visual rewards.

A claim is a known visual word (:mod:`globe.entities.vocabulary`, and the row's own entities), whole and inflected, that is
not negated, together with the colours said of it. It is borne out when an entity of the row has the same word and does not
contradict the colour. Claims are judged word by word ("palm tree" is a palm and a tree): so no order or insertion of
further words turns an unsupported claim into a supported one.

Negation reaches to the end of its clause; a comma ends it unless the list goes on with "or" or "nor". "absent", "missing"
and "not ... visible" also reach back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress, count
from typing import NamedTuple

from globe.entities.vocabulary import (
    BACKWARD,
    BREAKS,
    CLAUSE_WORDS,
    COLOURS,
    DENIERS,
    NEGATORS,
    NOUNS,
    ONLY_BEFORE,
    SEEN,
    SIDES,
    colour,
    plural,
    singular,
)
from globe.rewards.score import Reading, tokenize

LIST_CLAIMS = 8
"""A reasoning may claim this many things beyond twice the picture's own before it counts as a list of words."""

_ENDS = CLAUSE_WORDS | {"."}
_LIST_GOES_ON = frozenset(("or", "nor"))
"""A comma before one of these stands in a list that a negation covers whole: "no cars, churches or palms"."""
_LIST_STOPS = _ENDS | _LIST_GOES_ON
_SEEN_STOPS = _ENDS | SEEN | {","}
COLOUR_ENDS = BREAKS | CLAUSE_WORDS | {".", ","}
_STOP_WORDS = BREAKS | frozenset(
    [
        "style",
        "type",
        "like",
        "this",
        "that",
        "these",
        "those",
        "there",
        "their",
        "its",
        "some",
        "many",
        "few",
        "several",
        "old",
        "new",
        "large",
        "small",
        "big",
    ]
)
_FORMS = frozenset(NOUNS)
_MARKS = NEGATORS | COLOURS

SHADES = {c: frozenset((shade,)) if (shade := colour(c)) else frozenset() for c in COLOURS}

Coloured = list[tuple[str, frozenset[str]]]


class Claims(NamedTuple):
    """What a reasoning claims."""

    nouns: frozenset[str]
    """Words affirmed at least once, in the singular."""
    coloured: Coloured
    """Each affirmed mention that has colours said of it: (form, colours)."""


class _Static(NamedTuple):
    """The part of the claims that holds for every row."""

    nouns: frozenset[str]
    negated: frozenset[int]  # positions of tokens that a negation reaches
    coloured: Coloured


class RowEntities(NamedTuple):
    """A row's entities, prepared."""

    words: dict[str, list[frozenset[str]]]
    """Each word -> the colours of each entity that has it."""
    extra: dict[str, str]
    """Forms of words that the vocabulary lacks -> singular."""
    phrases: tuple[tuple[str, frozenset[str], frozenset[str]], ...]
    """Each entity: its text, its words, its colours."""
    sides: bool
    """Whether an entity tells a side (of the road, of the picture)."""


@lru_cache(maxsize=4096)
def prepare(entities: tuple[str, ...]) -> RowEntities:
    """Reads a row's entities into words and colours."""
    words: dict[str, list[frozenset[str]]] = {}
    extra: dict[str, str] = {}
    phrases = []
    for entity in entities:
        nouns, colours, forms = _entity(entity)
        extra.update(forms)
        for noun in nouns:
            words.setdefault(noun, []).append(colours)
        if nouns:  # an entity that is only a colour says too little to bear out anything
            phrases.append((entity, nouns, colours))
    return RowEntities(words, extra, tuple(dict.fromkeys(phrases)), not SIDES.isdisjoint(words))


@lru_cache(maxsize=8192)
def _entity(entity: str) -> tuple[frozenset[str], frozenset[str], dict[str, str]]:
    """An entity's words, its colours, and the forms of those words that the vocabulary lacks; the same ones come often."""
    tokens = [t for t in tokenize(entity[:200]) if t not in (".", ",")]
    nouns: set[str] = set()
    forms: dict[str, str] = {}
    for token in tokens:
        if token in COLOURS or token in _STOP_WORDS or token in NEGATORS:
            continue
        if token in SIDES:
            nouns.add(token)
            continue
        base = NOUNS.get(token) or singular(token)
        nouns.add(base)
        if token not in NOUNS:
            forms[base] = forms[plural(base)] = forms[token] = base
    return frozenset(nouns), frozenset(c for t in tokens if t in COLOURS and (c := colour(t))), forms


def claims_of(reading: Reading, row: RowEntities) -> Claims:
    """The things that a reasoning claims, as far as this row can judge them."""
    static = _static_of(reading)
    nouns = static.nouns
    if row.extra and not row.extra.keys().isdisjoint(reading.kinds):
        nouns = nouns.union(_affirmed(reading, row.extra.keys() & reading.kinds, row.extra, static.negated))
    if row.sides:
        nouns = nouns.union(_sides(reading, static.negated))
    return Claims(nouns, static.coloured)


def _static_of(reading: Reading) -> _Static:
    """Cached for the latest reading: both visual rewards, and a group's rows, ask for the same one in turn."""
    global _latest
    tokens, static = _latest
    if tokens is not reading.tokens:
        static = _static(reading)
        _latest = (reading.tokens, static)  # one assignment: safe between threads
    return static


def _static(reading: Reading) -> _Static:
    tokens = reading.tokens
    marks = _MARKS & reading.kinds
    at = list(compress(count(), map(marks.__contains__, tokens))) if marks else []  # at C speed: most of the work is here
    negators = [i for i in at if tokens[i] in NEGATORS]
    negated = negation_reach(tokens, negators) if negators else frozenset()
    nouns = _affirmed(reading, _FORMS & reading.kinds, NOUNS, negated)
    colours = [i for i in at if tokens[i] in COLOURS]
    return _Static(frozenset(nouns), negated, _coloured(tokens, colours, negated) if colours else [])


_latest: tuple[list[str], _Static] = ([], _Static(frozenset(), frozenset(), []))


def _affirmed(reading: Reading, forms: Iterable[str], meaning: dict[str, str], negated: frozenset[int]) -> set[str]:
    """The words of which at least one mention is not negated."""
    if not negated:
        return set(map(meaning.__getitem__, forms))
    tokens = reading.tokens
    doubtful = {tokens[i] for i in negated}.intersection(forms)
    if not doubtful:
        return set(map(meaning.__getitem__, forms))
    at = compress(count(), map(doubtful.__contains__, tokens))
    kept = {tokens[i] for i in at if i not in negated}  # one pass: counting each form would be quadratic on hostile text
    return {meaning[form] for form in forms if form not in doubtful or form in kept}


def negation_reach(tokens: Sequence[str], negators: Iterable[int]) -> frozenset[int]:
    """Positions that a negation reaches: to the end of its clause, and of "absent" or "not ... visible" back to its start."""
    reached: set[int] = set()
    done = -1
    list_goes_on, seen_follows = _Ahead(tokens, _LIST_GOES_ON, _LIST_STOPS), _Ahead(tokens, SEEN, _SEEN_STOPS)
    in_vain: dict[str, int] = {}  # how far a second word was looked for and not found: looking again would be quadratic
    for start in negators:
        token = tokens[start]
        back = token in BACKWARD or (token in DENIERS and seen_follows.after(start))
        if back and start not in reached:  # one that another negation reaches stands behind that one
            i = start - 1
            while i >= 0 and tokens[i] not in _ENDS and tokens[i] != ",":
                reached.add(i)
                i -= 1
        if start < done or start < in_vain.get(token, -1):
            continue
        end = start + 1
        if token in ONLY_BEFORE:
            while end < len(tokens) and tokens[end] not in _ENDS and tokens[end] not in (ONLY_BEFORE[token], ","):
                end += 1
            if tokens[end : end + 1] != [ONLY_BEFORE[token]]:
                in_vain[token] = end
                continue
        while end < len(tokens) and tokens[end] not in _ENDS and (tokens[end] != "," or list_goes_on.after(end)):
            reached.add(end)
            end += 1
        done = end
    return frozenset(reached)


class _Ahead:
    """Whether one of some words comes before the clause ends, however far: a limit would let a word added undo a negation.

    Asked from left to right, and looks at each token once: looking again would be quadratic on hostile text.
    """

    def __init__(self, tokens: Sequence[str], words: frozenset[str], stops: frozenset[str]) -> None:
        self.tokens, self.words, self.stops = tokens, words, stops
        self.looked = -1
        self.found = False

    def after(self, start: int) -> bool:
        if start >= self.looked:
            end = start + 1
            while end < len(self.tokens) and self.tokens[end] not in self.stops:
                end += 1
            self.looked, self.found = end, end < len(self.tokens) and self.tokens[end] in self.words
        return self.found


def _coloured(tokens: Sequence[str], colours: Iterable[int], negated: frozenset[int]) -> Coloured:
    """Mentions with the colours said before them in the same phrase: "green tiled church roof" says green of all three."""
    found: Coloured = []
    done = -1
    for start in colours:
        if start < done:
            continue
        said: frozenset[str] = frozenset()
        end = start
        while end < len(tokens) and (token := tokens[end]) not in COLOUR_ENDS:
            if token in COLOURS:
                said = said | SHADES[token]
            elif said and end not in negated:
                found.append((token, said))
            end += 1
        done = end
    return found


def _sides(reading: Reading, negated: frozenset[int]) -> set[str]:
    """Left and right, which count only for a row that tells a side: elsewhere they say where in the picture a thing is."""
    return _affirmed(reading, SIDES & reading.kinds, {side: side for side in SIDES}, negated)


def contradicted(claims: Claims, row: RowEntities) -> set[str]:
    """Words of the row of which a colour is said that none of its entities with that word has."""
    wrong = set()
    for form, said in claims.coloured:
        noun = NOUNS.get(form) or row.extra.get(form)
        if noun in row.words and noun in claims.nouns and not any(not true or said <= true for true in row.words[noun]):
            wrong.add(noun)
    return wrong


def too_many(count: int, row: RowEntities) -> bool:
    """Whether so many things are claimed that it is a list of words rather than a reasoning."""
    return count > 2 * len(row.words) + LIST_CLAIMS
