"""The words of many reasonings at once, as arrays: splitting and looking up each word in Python is what rewards would wait for.

A word is known by its first 16 bytes, read as two 64-bit numbers, and its length. Every form of a visual word or of a word
that steers a rule (:mod:`globe.entities.vocabulary`) has a slot of its own in one table; a word is that form when the first
number, a mix of both and the length agree, so nothing is left to chance. The same words as
:func:`globe.rewards.score.tokenize` gives, which is the readable definition and what the tests compare with.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from globe.entities.vocabulary import CLAUSE_WORDS, COLOURS, DENIERS, NEGATORS, NOUNS, SEEN, SIDES, SPECIAL_NEGATORS
from globe.rewards.score import PLAIN_BYTES, plain_wide

END, COMMA, OR, NEGATOR, SPECIAL, COLOUR, MARK, SAW = (1 << bit for bit in range(8))
"""What a form does: ends a clause, is a comma, goes on with a list, negates, negates in its own way, colours, is "." or ",",
lets a denial reach back."""

BETWEEN = b"\xff"
"""Stands between reasonings: no UTF-8 text holds this byte."""
_SLOT_BITS = 17
_MIX_HIGH = np.uint64(0xC2B2AE3D27D4EB4F)  # odd; any would do
_KEEP = np.array([(1 << 8 * length) - 1 for length in range(9)], dtype=np.uint64)
_BLANK = bytes(0x20 if byte in b"\x0b\x0c\x1c\x1d\x1e\x1f" else PLAIN_BYTES[byte] for byte in range(256))
_WIDE_BLANK = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")  # what str.split() takes for blank too

Indices = NDArray[np.int64]


class Words(NamedTuple):
    """All words and marks of some reasonings, in order; one more after each reasoning stands between it and the next."""

    text: bytes
    start: Indices
    """Where in the text each word begins."""
    length: Indices
    """Its bytes."""
    owner: Indices
    """The reasoning that it belongs to."""
    low: NDArray[np.uint64]
    """Its first eight bytes."""
    mix: NDArray[np.uint64]
    """A number of each word: equal words have equal ones, and different words hardly ever."""
    known: Indices
    """Positions (in these arrays) of the words that have a form."""
    form: Indices
    """Form of each known word, an index into the vocabulary's arrays."""
    ends: Indices
    """Position of what stands after each reasoning."""
    does: NDArray[np.uint8]
    """What each known word does, as bits."""
    total: Indices
    """How many words and marks each reasoning has."""
    spoken: Indices
    """How many of them are words."""
    chars: Indices
    """How many characters each reasoning has."""

    def word(self, at: int) -> bytes:
        """The word at a position."""
        start = self.start[at]
        return self.text[start : start + self.length[at]]

    def doing(self, what: int) -> Indices:
        """Positions of the words that do one of these things."""
        return self.known.take(np.flatnonzero((self.does & what) > 0))

    def are(self, at: Indices, word: str) -> NDArray[np.bool_]:
        """Whether the words at some positions are this one, of at most eight bytes."""
        return (self.low[at] == int.from_bytes(word.encode(), "little")) & (self.length[at] == len(word.encode()))

    def between(self, first: int, end: int) -> list[str]:
        """The words and marks from one position to before another, as :func:`globe.rewards.score.tokenize` has them."""
        if first == end:
            return []
        text = self.text[self.start[first] : self.start[end - 1] + self.length[end - 1]]
        return text.replace(b".", b" . ").replace(b",", b" , ").decode("utf-8", "surrogatepass").split()


class Vocabulary(NamedTuple):
    """Every form of a word that a rule asks for, by its slot."""

    slots: NDArray[np.uint16]
    """Slot -> form, 0 for none."""
    scale: np.uint64
    low: NDArray[np.uint64]
    """Each form's first eight bytes."""
    mix: NDArray[np.uint64]
    """Its number: two words of equal first bytes and equal numbers are equal, for odd factors lose nothing."""
    length: Indices
    does: NDArray[np.uint8]
    """What each form does, as bits."""
    denies: NDArray[np.bool_]
    noun: Indices
    """The noun that each form means, an index into nouns; -1 for none."""
    nouns: tuple[str, ...]
    column: dict[str, int]
    """Noun -> its index."""
    forms: dict[str, int]


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The table of forms, made on first use; a scale is searched that gives each form a slot of its own."""
    does = {",": COMMA | MARK, ".": END | MARK, "or": OR, "nor": OR}
    for words, what in (
        (CLAUSE_WORDS, END), (NEGATORS - SPECIAL_NEGATORS, NEGATOR), (SPECIAL_NEGATORS, SPECIAL), (COLOURS, COLOUR), (SEEN, SAW),
    ):  # fmt: skip
        for word in words:
            does[word] = does.get(word, 0) | what
    means = {**NOUNS, **{side: side for side in SIDES}}
    nouns = tuple(sorted(set(means.values())))
    column = {noun: i for i, noun in enumerate(nouns)}
    forms = sorted(does.keys() | means.keys())
    raw = [b"", BETWEEN, *(form.encode() for form in forms)]
    low, high = (np.array([int.from_bytes(r[i : i + 8], "little") for r in raw], dtype=np.uint64) for i in (0, 8))
    for seed in count():
        scale = np.uint64(random.Random(seed).getrandbits(64) | 1)
        mix = (low + high * _MIX_HIGH) * scale
        slot = mix >> np.uint64(64 - _SLOT_BITS)
        if len(np.unique(slot)) == len(raw):
            break
    _keep_freed_memory()
    slots = np.zeros(1 << _SLOT_BITS, dtype=np.uint16)
    slots[slot] = np.arange(len(raw))
    return Vocabulary(
        slots, scale, low, mix, np.array([len(r) for r in raw]),
        np.array([0, END, *(does.get(form, 0) for form in forms)], dtype=np.uint8),
        np.array([False, False, *(form in DENIERS for form in forms)]),
        np.array([-1, -1, *(column.get(means.get(form, ""), -1) for form in forms)]), nouns, column,
        {form: i for i, form in enumerate(forms, start=2)},
    )  # fmt: skip


def _keep_freed_memory() -> None:
    """Keeps the C library from handing each batch's arrays back to the kernel, and asking for them anew page by page.

    glibc returns freed memory above a threshold that it raises to twice the largest mapped block it has seen freed (mallopt(3),
    M_MMAP_THRESHOLD). A block of 16 MB, never written to, raises it beyond what a batch needs; other libraries do not mind.
    """
    np.empty(1 << 24, dtype=np.uint8)


def mix_of(word: bytes) -> int:
    """A single word's number, as in :attr:`Words.mix`."""
    low, high = int.from_bytes(word[:8], "little"), int.from_bytes(word[8:16], "little")
    return (low + high * int(_MIX_HIGH)) * int(vocabulary().scale) % (1 << 64)


def read_words(reasonings: Sequence[str]) -> Words:
    """Splits reasonings into words and finds those that have a form.

    Args:
        reasonings: Texts of any script; together at most some megabytes.
    """
    text = _joined(reasonings)
    byte = np.frombuffer(text, dtype=np.uint8)
    mark = (byte & 0xFD) == 0x2C  # "," and "."
    inside = (byte != 0x20) ^ mark
    first, last = mark.copy(), mark.copy()
    first[0] |= inside[0]
    first[1:] |= inside[1:] > inside[:-1]
    last[:-1] |= inside[:-1] > inside[1:]
    start, end = np.flatnonzero(first), np.flatnonzero(last)
    length = end - start + 1
    eight = np.ndarray((len(text) - 8,), dtype="<u8", buffer=text, strides=(1,)).copy()  # the eight bytes from each byte on
    low = eight.take(start) & _KEEP.take(length, mode="clip")
    mix = low.copy()
    long = np.flatnonzero(length > 8)
    high_of_long = eight.take(start[long] + 8) & _KEEP.take(length[long] - 8, mode="clip")
    mix[long] += high_of_long * _MIX_HIGH
    mix *= vocabulary().scale
    known, form = _known(low, mix, length)
    ends = known[form == 1]
    does = vocabulary().does[form]
    total = ends.copy()
    total[1:] -= ends[:-1] + 1
    owner = np.repeat(np.arange(len(ends)), total + 1)
    marks = np.searchsorted(known.take(np.flatnonzero((does & MARK) > 0)), ends)  # up to the end of each reasoning
    spoken = total - marks
    spoken[1:] += marks[:-1]
    chars = np.array([len(reasoning) for reasoning in reasonings], dtype=np.int64)
    return Words(text, start, length, owner, low, mix, known, form, ends, does, total, spoken, chars)


def _joined(reasonings: Sequence[str]) -> bytes:
    """The reasonings in lower case with blank space and marks unified, one after the other."""
    parts = []
    for text in reasonings:
        plain = text if text.isascii() else _WIDE_BLANK.sub(" ", plain_wide(text))
        parts.append(plain.encode("utf-8", "surrogatepass").translate(_BLANK))
    parts.append(b" " * 24)  # so that sixteen bytes can be read from any word on
    joined = (b" " + BETWEEN + b" ").join(parts)
    return joined.replace(b"'s", b"") if b"'" in joined else joined


def _known(low: NDArray[np.uint64], mix: NDArray[np.uint64], length: Indices) -> tuple[Indices, Indices]:
    """Positions and forms of the words that have a form."""
    v = vocabulary()
    form = v.slots.take((mix >> np.uint64(64 - _SLOT_BITS)).view(np.int64))
    at = np.flatnonzero(form != 0)
    form = form.take(at).astype(np.int64)
    true = (low.take(at) == v.low.take(form)) & (mix.take(at) == v.mix.take(form)) & (length.take(at) == v.length.take(form))
    return at[true], form[true]
