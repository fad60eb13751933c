"""What many reasonings claim to see, at once: the same claims as :func:`globe.entities.claims.claims_of` finds one by one.

Only what can matter for a row is looked at: how many things are claimed, which of them the row has, and the colours said of
those. The rules are those of :mod:`globe.entities.claims`; where a rule is rare (a negation of its own kind, a colour) its
own function does the work on the few words concerned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from globe.entities.claims import COLOUR_ENDS, SHADES, Claims, Coloured, negation_reach, prepare
from globe.entities.vocabulary import NEGATORS, ONLY_BEFORE, SIDES
from globe.rewards.words import BETWEEN, COLOUR, COMMA, END, NEGATOR, OR, SAW, SPECIAL, Indices, Words, mix_of, vocabulary

_EXTRA_BITS = 16
_STOPS = frozenset((BETWEEN, *(word.encode() for word in COLOUR_ENDS)))
_SHADES = {word.encode(): shades for word, shades in SHADES.items()}

_NONE: frozenset[str] = frozenset()
Flags = NDArray[np.bool_]


class ManyClaims(NamedTuple):
    """What each of several reasonings claims, as far as its row can judge it."""

    counts: list[int]
    """Different things claimed."""
    shared: list[set[str]]
    """Those of them that the row has too."""
    coloured: dict[int, Coloured]
    """Where a colour is said of those: the mentions with their colours."""

    def of(self, i: int) -> Claims:
        """A reasoning's claims that its row has too."""
        return Claims(frozenset(self.shared[i]), self.coloured.get(i, []))


class _Row(NamedTuple):
    """A row's entities as the vocabulary's columns."""

    has: Flags
    """Which nouns of the vocabulary the row has."""
    has_coloured: Flags
    """Which of them an entity with a colour has."""
    extra: dict[bytes, str]
    """Forms that the vocabulary lacks -> singular."""
    extra_slots: Indices
    sides: bool


@lru_cache(maxsize=4096)
def _row(entities: tuple[str, ...]) -> _Row:
    row, column = prepare(entities), vocabulary().column
    has, has_coloured = np.zeros((2, len(column)), dtype=bool)
    for noun, colours in row.words.items():
        if noun in column:
            has[column[noun]] = True
            has_coloured[column[noun]] = any(colours)
    extra = {form.encode("utf-8", "surrogatepass"): noun for form, noun in row.extra.items()}
    slots = np.array([mix_of(form) >> (64 - _EXTRA_BITS) for form in extra], dtype=np.int64)
    return _Row(has, has_coloured, extra, slots, row.sides)


def claims_of_all(words: Words, rows: Sequence[tuple[str, ...]]) -> ManyClaims:
    """The claims of each reasoning in words, judged by its row.

    Args:
        words: The reasonings' words.
        rows: As many rows' entities.
    """
    v = vocabulary()
    width = len(v.nouns)
    number = {entities: i for i, entities in enumerate(dict.fromkeys(rows))}  # a group of completions shares a row
    different = [_row(entities) for entities in number]
    which = np.array([number[entities] for entities in rows], dtype=np.int64)
    has, has_coloured = (np.array([row[i] for row in different], dtype=bool).reshape(-1, width) for i in (0, 1))
    negated = _negated(words)
    claimed, at, owner, noun = _known_claims(words, negated)
    sides = np.array([row.sides for row in different], dtype=bool).take(which)
    for side in SIDES:  # they count only for a row that tells one
        claimed[:, v.column[side]] &= sides
    mentions = at[has_coloured.ravel().take(which.take(owner) * width + noun)]
    shared: list[set[str]] = [set() for _ in rows]
    own = []
    for i, position, meaning in _extras(words, [different[i] for i in which.tolist()]):
        if negated[position]:
            continue
        own.append(position)
        if meaning in v.column:
            claimed[i, v.column[meaning]] = True
        else:
            shared[i].add(meaning)
    counts = (claimed.sum(axis=1) + [len(nouns) for nouns in shared]).tolist()
    both = np.flatnonzero(claimed & has[which])
    for i, column in zip((both // width).tolist(), (both % width).tolist(), strict=True):
        shared[i].add(v.nouns[column])
    coloured: dict[int, Coloured] = {}
    for i, form, colours in _colours(words, np.union1d(mentions, own).astype(np.int64) if own else mentions):
        coloured.setdefault(i, []).append((form, colours))
    return ManyClaims(counts, shared, coloured)


def _known_claims(words: Words, negated: Flags) -> tuple[Flags, Indices, Indices, Indices]:
    """Which nouns of the vocabulary each reasoning affirms; and each mention's position, reasoning and noun."""
    width = len(vocabulary().nouns)
    noun = vocabulary().noun.take(words.form)
    said = np.flatnonzero((noun >= 0) & ~negated.take(words.known))
    at, noun = words.known.take(said), noun.take(said)
    owner = words.owner.take(at)
    claimed = np.zeros((len(words.ends), width), dtype=bool)
    claimed.ravel()[owner * width + noun] = True
    return claimed, at, owner, noun


def _negated(words: Words) -> Flags:
    """Which words a negation reaches: those whose nearest mark before them is a negator, not an end of its clause."""
    does = words.does.copy()
    special = np.flatnonzero((does & SPECIAL) > 0)
    for first, second in ONLY_BEFORE.items():  # "rather than" negates as "not" does
        rather = special[words.form[special] == vocabulary().forms[first]]
        does[rather[words.are(words.known[rather] + 1, second)]] = NEGATOR
    ends = words.doing(END)
    mark = (does & (END | NEGATOR)) > 0
    commas = np.flatnonzero((does & COMMA) > 0)
    mark[commas] = ~_comes_first(words, commas, OR, END)
    marks = np.flatnonzero(mark)
    negates = (does.take(marks) & NEGATOR) > 0
    until = np.diff(np.concatenate(([0], words.known.take(marks) + 1, [len(words.start)])))
    reached = np.repeat(np.concatenate(([False], negates)), until)
    reached[ends] = False
    for begin, denier in _denials(words, reached):
        reached[begin:denier] = True
    clauses = np.searchsorted(ends, words.known[special[(does[special] & SPECIAL) > 0]])
    for clause in dict.fromkeys(clauses.tolist()):
        begin, end = int(ends[clause - 1]) + 1 if clause else 0, int(ends[clause])
        tokens = words.between(begin, end)
        reach = negation_reach(tokens, [i for i, token in enumerate(tokens) if token in NEGATORS])
        reached[begin:end] = [i in reach for i in range(end - begin)]
    return reached


def _comes_first(words: Words, places: Indices, what: int, ends: int) -> Flags:
    """After which of some known words one comes that does this, before one that ends it."""
    marks = np.flatnonzero((words.does & (what | ends)) > 0)
    following = marks.take(np.searchsorted(marks, places, side="right"))  # there is one: the end of the reasoning
    return (words.does.take(following) & what) > 0


def _denials(words: Words, reached: Flags) -> Iterator[tuple[int, int]]:
    """What "not ... visible" negates before it: from the start of its clause to the denier, as positions."""
    deniers = np.flatnonzero(vocabulary().denies.take(words.form))
    deniers = words.known.take(deniers.take(np.flatnonzero(_comes_first(words, deniers, SAW, END | COMMA))))
    deniers = deniers[~reached[deniers]]
    if not len(deniers):
        return
    ends = words.doing(END | COMMA)
    begins = np.append(-1, ends)[np.searchsorted(ends, deniers)] + 1
    yield from zip(begins.tolist(), deniers.tolist(), strict=True)


def _extras(words: Words, rows: Sequence[_Row]) -> Iterator[tuple[int, int, str]]:
    """Words that only their row knows: (reasoning, position, singular)."""
    slots = [row.extra_slots for row in {id(row): row for row in rows}.values() if row.extra]
    if not slots:
        return
    wanted = np.zeros(1 << _EXTRA_BITS, dtype=bool)
    wanted[np.concatenate(slots)] = True
    at = np.flatnonzero(wanted.take(words.mix >> np.uint64(64 - _EXTRA_BITS)))
    for position, i in zip(at.tolist(), words.owner[at].tolist(), strict=True):
        meaning = rows[i].extra.get(words.word(position))
        if meaning is not None:
            yield i, position, meaning


def _colours(words: Words, mentions: Indices) -> Iterator[tuple[int, str, frozenset[str]]]:
    """The mentions of which colours are said, those before them in the same phrase: (reasoning, form, colours)."""
    if not len(mentions):
        return
    colours_at, ends_at = words.doing(COLOUR), words.doing(END | COMMA)
    last_colour, last_end = (np.append(-1, at)[np.searchsorted(at, mentions)] for at in (colours_at, ends_at))
    near = last_colour > last_end  # most mentions have no colour about
    at, last_end = mentions[near], last_end[near]
    before = np.append(-1, at)[:-1]
    first = words.start[np.maximum(before, last_end) + 1]  # after the mention before: each word is looked at once
    end = words.start[at] + words.length[at]
    colours = _NONE
    for i, start, stop, goes_on in zip(*(a.tolist() for a in (words.owner[at], first, end, before > last_end)), strict=True):
        *phrase, form = words.text[start:stop].split()
        colours = _colours_after(phrase, colours if goes_on else _NONE)
        if colours and form not in _SHADES and form not in _STOPS:
            yield i, form.decode("utf-8", "surrogatepass"), colours
        colours = _colours_after([form], colours)


def _colours_after(phrase: list[bytes], colours: frozenset[str]) -> frozenset[str]:
    """The colours that hold after some more words."""
    for word in phrase:
        if word in _STOPS:
            colours = _NONE
        elif word in _SHADES:
            colours = colours | _SHADES[word]
    return colours
