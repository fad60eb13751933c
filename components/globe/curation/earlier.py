"""Replies that a folder got when its source was cut otherwise: found by their question, so that none is asked again.

Where a source has grown or is cut into other parts, its rows move between parts, and with them the questions. The journals of the
former parts are put aside, never thrown away, and looked up here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from globe.curation.teachers.replies import REPLIES_NAME, Record, ReplyLog
from globe.data.scratch import scratch_database


class EarlierReplies:
    """Journals of former parts, with an index on disk, so that memory does not grow with them. Use as a context manager.

    Args:
        folder: Where the journals lie; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = folder / "index.sqlite"

    def __enter__(self) -> EarlierReplies:
        self._journals = sorted(self._folder.glob("*.jsonl"))
        if self._journals:
            self._index.unlink(missing_ok=True)  # made anew: one that a kill left may be of fewer journals
            self._db = scratch_database(self._index)
            self._db.execute("CREATE TABLE places (key TEXT PRIMARY KEY, journal INT, start INT, length INT) WITHOUT ROWID")
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", self._places())
            self._db.execute("COMMIT")
        return self

    def __exit__(self, *_: object) -> None:
        if self._journals:
            self._db.close()
            self._index.unlink(missing_ok=True)

    def get(self, key: str) -> Record | None:
        """The answer to a question; None if it has none here."""
        if not self._journals:
            return None
        place = self._db.execute("SELECT journal, start, length FROM places WHERE key = ?", (key,)).fetchone()
        if place is None:
            return None
        journal, start, length = place
        with self._journals[journal].open("rb") as file:
            file.seek(start)
            return _record(file.read(length))

    def _places(self) -> Iterator[tuple[str, int, int, int]]:
        for number, journal in enumerate(self._journals):
            start = 0
            with journal.open("rb") as lines:
                for line in lines:
                    record = _record(line)
                    if record is not None and record.status in ("ok", "malformed"):
                        yield record.key, number, start, len(line)
                    start += len(line)


class PartLog(ReplyLog):
    """A part's journal, which takes over the answers that were received when the source was cut otherwise."""

    def __init__(self, path: Path, earlier: EarlierReplies | None = None) -> None:
        super().__init__(path)
        self._earlier = earlier

    def is_finished(self, key: str) -> bool:
        """Tell whether this question has been answered, here or earlier; an earlier answer is copied."""
        if super().is_finished(key):
            return True
        record = self._earlier.get(key) if self._earlier else None
        if record is None:
            return False
        self.append(record)
        return super().is_finished(key)


def put_aside(parts: Path, earlier: Path) -> None:
    """Remove a folder's parts but keep their journals.

    All parts are given up in one step, so that a kill leaves none that seems to be asked but has lost its journal; the rest is
    then done by the next call, which may be `finish_putting_aside`.

    Args:
        parts: Folder of the parts.
        earlier: Where the journals go.
    """
    finish_putting_aside(parts, earlier)
    if parts.exists():
        parts.rename(_given_up(parts))
        finish_putting_aside(parts, earlier)


def finish_putting_aside(parts: Path, earlier: Path) -> None:
    """Finish what a kill interrupted; nothing is done where nothing was. Arguments as in `put_aside`."""
    given_up = _given_up(parts)
    if not given_up.exists():
        return
    earlier.mkdir(parents=True, exist_ok=True)
    last = max((int(journal.stem) for journal in earlier.glob("*.jsonl")), default=-1)  # some may have been removed
    for number, journal in enumerate(sorted(given_up.glob(f"*/{REPLIES_NAME}")), start=last + 1):
        journal.rename(earlier / f"{number:06d}.jsonl")
    shutil.rmtree(given_up)


def _given_up(parts: Path) -> Path:
    return parts.with_name(f"{parts.name}.old")


def _record(line: bytes) -> Record | None:
    try:
        return Record.model_validate_json(line)
    except ValidationError:  # cut off by a kill
        return None
