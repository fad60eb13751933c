"""Repetition guard: 1 for ordinary text, falling to 0 as sequences of words come again.

The measure is the share of three-word sequences that stood before: up to 0.15 is ordinary, 0.5 and more is a loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from globe.rewards.score import Score, read

if TYPE_CHECKING:
    from globe.rewards.batch import Batch

ORDINARY_SHARE = 0.15
LOOP_SHARE = 0.5
VARIED_SHARE = 0.55
"""When more than this share of the words and punctuation is different, no loop can be in it; it is not looked at further."""
_FEW_TOKENS = 12
CHARS_PER_WORD = 16
"""Longer words on average are a script without blank space between words."""
_CELL_BITS = 12
_STEPS = (0x9E3779B1, 0x85EBCA77)  # odd; any would do


def score(completion: str, row: Mapping[str, Any] | None = None) -> Score:
    """How little the reasoning repeats itself; 0 for none at all."""
    reading = read(completion)
    if reading.broken:
        return Score(0.0, reading.broken)
    text = reading.answer.reasoning
    if not text:
        return Score(0.0, "no reasoning")
    units: Any = reading.tokens
    if reading.words * CHARS_PER_WORD < len(text):  # a script without blank space between words: look at its characters
        units = text
    elif len(reading.kinds) > VARIED_SHARE * len(units):
        return Score(1.0, "varied words")
    total = len(units) - 2
    if total < _FEW_TOKENS:
        return (
            Score(1.0, "too short to repeat itself") if len(set(units)) * 3 > len(units) else Score(0.0, "the same words again")
        )
    share = 1.0 - len(set(zip(units, units[1:], units[2:], strict=False))) / total
    if share <= ORDINARY_SHARE:
        return Score(1.0, "no repetition")
    value = max(0.0, (LOOP_SHARE - share) / (LOOP_SHARE - ORDINARY_SHARE))
    return Score(value, f"{share:.0%} of its three-word sequences stood before")


def scores(batch: Batch) -> list[float]:
    """The same for many: those that certainly do not repeat themselves are found together, the others looked at one by one."""
    return batch.plainly(score, dict.fromkeys(certainly_varied(batch), 1.0))


def certainly_varied(batch: Batch) -> list[int]:
    """Completions of ordinary words with at most the ordinary share of repeated sequences, by a cautious count.

    Each sequence marks one of its reasoning's cells; there are at least as many different sequences as cells marked.
    """
    import numpy as np  # the plain function must not cost its import

    words = batch.words
    if len(words.mix) < _FEW_TOKENS:
        return []
    mix = (words.mix >> np.uint64(32)).astype(np.uint32)
    sequence = mix[:-2] * np.uint32(_STEPS[0])
    sequence += mix[1:-1]
    sequence *= np.uint32(_STEPS[1])
    sequence += mix[2:]
    sequence >>= np.uint32(32 - _CELL_BITS)
    cell = words.owner[:-2] << _CELL_BITS
    cell += sequence
    count = len(words.ends)
    reaching = np.clip(words.ends[:, None] - np.arange(3), 0, len(cell) - 1)  # into the next reasoning: the cell of nobody
    cell[reaching.ravel()] = count << _CELL_BITS
    marked = np.zeros((count + 1) << _CELL_BITS, dtype=bool)
    marked[cell] = True
    eights = marked.view(np.uint64).reshape(count + 1, -1, 128).sum(axis=2)  # eight cells a number: they stay below 256
    different = eights.view(np.uint8).reshape(count + 1, -1)[:count].sum(axis=1)
    total = np.maximum(words.total - 2, 1)
    varied = (total >= _FEW_TOKENS) & (1.0 - different / total <= ORDINARY_SHARE) & (words.spoken * CHARS_PER_WORD >= words.chars)
    return [batch.worded[k] for k in np.flatnonzero(varied).tolist()]
