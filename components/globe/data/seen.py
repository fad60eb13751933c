"""What has been seen before: a set that does not grow in memory, however many members it gets."""

from __future__ import annotations

import hashlib

from globe.data.scratch import scratch_database

DUPLICATE_ID, DUPLICATE_PICTURE = "duplicate_id", "duplicate_picture"


class Seen:
    """A set of byte strings, which beyond a few megabytes lies in a file without a name that goes with the process."""

    def __init__(self) -> None:
        self._rows = scratch_database()
        self._rows.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, key: bytes) -> bool:
        """Add a member.

        Args:
            key: Any bytes; a hash of 96 bits stands for them.

        Returns:
            Whether it is new.
        """
        digest = hashlib.blake2b(key, digest_size=12).digest()
        return self._rows.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1

    def close(self) -> None:
        """Forget all; it can't be used any more."""
        self._rows.close()


class Repeats:
    """Finds rows that repeat an earlier one's id or picture. Rows that are repeats themselves are remembered, too.

    So a row is judged alike wherever a source was cut: the repeats that were found within a part, asked again after those of its
    rows that are none, get the reason that they would have got in the whole.
    """

    def __init__(self) -> None:
        self._ids, self._pictures = Seen(), Seen()

    def reason(self, row_id: str, picture_sha256: bytes) -> str:
        """Why a row repeats an earlier one; "" if it doesn't.

        Args:
            row_id: The row's id.
            picture_sha256: Hash of its picture, as stored. The same picture under two ids could be in training and test both.
        """
        new_id, new_picture = self._ids.add(row_id.encode()), self._pictures.add(picture_sha256)
        return "" if new_id and new_picture else DUPLICATE_PICTURE if new_id else DUPLICATE_ID

    def close(self) -> None:
        """Forget all rows."""
        self._ids.close()
        self._pictures.close()
