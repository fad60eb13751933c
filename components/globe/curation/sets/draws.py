"""Choosing rows by a hash of their ids: the choice can be repeated, and the rows' order has no part in it."""

from __future__ import annotations

import hashlib
from array import array

import numpy as np

RANKS = 2**64
_SLACK = 4096


def rank(seed: int, purpose: str, row_id: str) -> int:
    """A row's place in a random order, from 0 to `RANKS`.

    Args:
        seed: The recipe's seed.
        purpose: What is chosen; for another purpose the order is another.
        row_id: The row.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}:{row_id}".encode()).digest()[:8], "big")


class Draw:
    """Finds the rows that rank lowest among many that pass by one after another.

    Memory: 8 bytes for each row that may still be among the lowest, so it grows up to the limit where there is one.

    Args:
        limit: How many there may be at most; 0 sets no limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ranks = array("Q")
        self._highest = RANKS

    def offer(self, place: int) -> bool:
        """Whether a row of this rank may be among the lowest; a later one may still push it out."""
        if place > self._highest:
            return False
        self._ranks.append(place)
        if self._limit and len(self._ranks) >= 2 * self._limit + _SLACK:
            lowest = np.partition(np.frombuffer(self._ranks, dtype=np.uint64), self._limit - 1)[: self._limit]
            self._ranks = array("Q", lowest.tobytes())
            self._highest = int(lowest[-1])
        return True

    @property
    def count(self) -> int:
        """How many rows there are, up to the limit."""
        return min(len(self._ranks), self._limit) if self._limit else len(self._ranks)

    def highest(self, count: int) -> int:
        """The highest rank among the `count` lowest; -1 for none of them."""
        if not count:
            return -1
        return int(np.partition(np.frombuffer(self._ranks, dtype=np.uint64), count - 1)[count - 1])
