"""Which rows of a source repeat an earlier one: found in a first pass over all of them, and told in a second."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from globe.data.seen import DUPLICATE_ID, DUPLICATE_PICTURE, Repeats, Seen

_REASONS = (DUPLICATE_ID, DUPLICATE_PICTURE)


class Duplicates:
    """Finds rows with an id or a picture that another row has. What is compared lies on disk; a duplicate costs nine bytes.

    Use as a context manager.
    """

    def __init__(self) -> None:
        self._repeats, self._sent = Repeats(), Seen()
        self._numbers, self._reasons = array("Q"), bytearray()

    def __enter__(self) -> Duplicates:
        return self

    def __exit__(self, *_: object) -> None:
        self._repeats.close()
        self._sent.close()

    def repeats(self, row_id: str, sha256: bytes) -> str:
        """Why a row repeats an earlier one (`globe.data.seen.Repeats.reason`); "" if it does not."""
        return self._repeats.reason(row_id, sha256)

    def add_sent(self, digest: bytes) -> bool:
        """Remember a picture as it is sent; False if one that looks so has come before."""
        return self._sent.add(digest)

    def note(self, number: int, reason: str) -> None:
        """Note that a row is a duplicate.

        Args:
            number: The row's, counted from 0; larger than those noted before.
            reason: Why.
        """
        self._numbers.append(number)
        self._reasons.append(_REASONS.index(reason))

    def reason(self, number: int) -> str:
        """Why the row of this number is a duplicate; "" if it is none."""
        place = bisect_left(self._numbers, number)
        found = place < len(self._numbers) and self._numbers[place] == number
        return _REASONS[self._reasons[place]] if found else ""
