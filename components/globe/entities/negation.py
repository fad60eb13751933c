"""What a text denies: which of its words a negation reaches.

A negation reaches to the end of its clause. A comma ends it too, unless "or" or "nor" comes later in the clause: "no cars,
churches or palms" denies all three. "Palms are absent" and "palms are not visible" also deny what stands before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from globe.entities.vocabulary import CLAUSE_WORDS

BACKWARD = frozenset(("absent", "missing", "nowhere"))
"""Negators that also deny what stands before them: "palm trees are absent"."""

DENIERS = frozenset(
    """
not cannot never isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't hasn't haven't hadn't
shouldn't mustn't ain't isnt arent wasnt werent dont doesnt didnt cant couldnt
""".split()  # noqa: SIM905
)
"""Negators that do so with one of `SEEN` after them: "palm trees are not visible"."""

SEEN = frozenset(
    """
visible seen present there evident apparent found exist spotted observed discernible
""".split()  # noqa: SIM905
)

ONLY_BEFORE = {"rather": "than", "instead": "of", "opposed": "to", "free": "of"}
"""Negators only together with a second word: "rather than a mosque" denies the mosque, "rather dry" denies nothing."""

NEGATORS = (
    BACKWARD
    | DENIERS
    | ONLY_BEFORE.keys()
    | frozenset(
        """
no without none neither nor lack lacks lacking lacked absence nothing unlike hardly excluding except devoid zero
""".split()  # noqa: SIM905
    )
)

_CLAUSE_ENDS = CLAUSE_WORDS | {"."}


def denied(tokens: Sequence[str]) -> frozenset[int]:
    """Positions of the words that a negation reaches.

    The work grows with the length of the text alone, whatever the text: each negator's reach is marked once.

    Args:
        tokens: A text's words, as :func:`globe.entities.words.tokenize` cuts them.
    """
    if NEGATORS.isdisjoint(tokens):  # most texts deny nothing
        return frozenset()
    found: set[int] = set()
    for clause in _split(tokens, range(len(tokens)), _CLAUSE_ENDS):
        if not NEGATORS.isdisjoint(tokens[clause.start : clause.stop]):
            found |= _denied_in(tokens, clause)
    return frozenset(found)


def _denied_in(tokens: Sequence[str], clause: range) -> set[int]:
    found: set[int] = set()
    parts = list(_split(tokens, clause, ","))
    last_or = _last(tokens, clause, ("or", "nor"))
    list_stop = next((part.stop for part in parts if last_or in part), clause.start)
    done = clause.start
    for part in parts:
        last_seen = _last(tokens, part, SEEN)
        awaited: set[str] = set()
        for at in part:
            token = tokens[at]
            if token in ONLY_BEFORE:
                awaited.add(ONLY_BEFORE[token])
            elif token in NEGATORS or token in awaited:
                backward = token in BACKWARD or (token in DENIERS and at < last_seen)
                if backward and at not in found:  # one that is denied itself denies nothing: "neither absent nor hidden"
                    found.update(range(part.start, at))
                if at >= done:
                    done = max(part.stop, list_stop)
                    found.update(range(at + 1, done))
    return found


def _split(tokens: Sequence[str], within: range, ends: Collection[str]) -> Iterator[range]:
    """The stretches of a range that lie between some words."""
    start = within.start
    for at in within:
        if tokens[at] in ends:
            yield range(start, at)
            start = at + 1
    yield range(start, within.stop)


def _last(tokens: Sequence[str], within: range, words: Collection[str]) -> int:
    """The last position of any of some words; -1 without one."""
    return next((at for at in reversed(within) if tokens[at] in words), -1)
