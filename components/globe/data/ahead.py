"""Pictures that lie far away, fetched before their turn: several ranges at once, and neighbours in an archive by one.

What is fetched ahead is bounded in number and bytes, and stays packed: a picture is unpacked when its turn comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

RANGES_AT_ONCE = 16
MOST_PICTURES, MOST_BYTES = 128, 64 * 1024 * 1024
"""That are fetched, or being fetched, before their turn; one picture may be larger."""
LONGEST_RANGE_BYTES = 1024 * 1024
"""Of several neighbours; a longer one would keep others waiting."""
WIDEST_GAP_BYTES = 64 * 1024
"""Between neighbours: moving so many bytes for nothing takes less than another request."""

ReadAt = Callable[[int, int], bytes]
"""Reads from a place so many bytes, as far as there are any; called by several threads at once."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Begun:
    """A picture that was found.

    Attributes:
        read: Gives its bytes, or the reason why there are none; waits for them if need be.
        ahead_bytes: What is held in memory for it until it is read; 0 where nothing is fetched before that.
    """

    read: Callable[[], bytes | str]
    ahead_bytes: int = 0


def in_turn(items: Iterable[Item], begin: Callable[[Item], Begun | str]) -> Iterator[tuple[Item, Begun | str]]:
    """Give each item with its picture, in order; those after it are begun meanwhile, where that fetches anything.

    Args:
        items: What to begin.
        begin: Begins an item's picture, or says why there is none.
    """
    waiting: deque[tuple[Item, Begun | str]] = deque()
    held = 0
    for item in items:
        begun = begin(item)
        waiting.append((item, begun))
        held += _ahead_bytes(begun)
        while waiting and (not held or held > MOST_BYTES or len(waiting) > MOST_PICTURES):
            held -= _ahead_bytes(waiting[0][1])
            yield waiting.popleft()
    yield from waiting


def _ahead_bytes(begun: Begun | str) -> int:
    return 0 if isinstance(begun, str) else begun.ahead_bytes


class Fetcher:
    """The threads that fetch ranges, of any number of archives; none is started before the first range."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(RANGES_AT_ONCE, thread_name_prefix="ranges")

    def fetch(self, read_at: ReadAt, start: int, size: int) -> Future[bytes]:
        """Have a range fetched as soon as a thread is free."""
        return self._pool.submit(read_at, start, size)

    def close(self) -> None:
        """Fetch no more; nobody waits for what is under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Ranges:
    """The ranges of one archive.

    Args:
        read_at: Reads the archive.
        fetcher: Who does so.
    """

    def __init__(self, read_at: ReadAt, fetcher: Fetcher) -> None:
        self.read_at, self._fetcher = read_at, fetcher
        self._last: Range | None = None
        """The range that may still grow, and so has not been asked for."""

    def begin(self, start: int, size: int) -> tuple[Range, int]:
        """The range that has some bytes, and how many bytes it holds more for their sake."""
        last = self._last
        if last is None or not last.is_neighbour(start, size):
            self.ask()
            self._last = last = Range(self, start)
        before, last.end = last.end, max(last.end, start + size)
        return last, last.end - before

    def ask(self) -> None:
        """Ask for the range that could still have grown."""
        if self._last is not None:
            self._last.answer = self._fetcher.fetch(self.read_at, self._last.start, self._last.end - self._last.start)
            self._last = None


class Range:
    """A range of an archive, read as its file is: bytes outside of it are asked for when they are read."""

    def __init__(self, ranges: Ranges, start: int) -> None:
        self.start = self.end = start
        self.answer: Future[bytes] | None = None
        self._ranges, self._at = ranges, start

    def is_neighbour(self, start: int, size: int) -> bool:
        """Whether some bytes lie so near behind its own that one request for both is better."""
        near = self.start <= start <= self.end + WIDEST_GAP_BYTES
        return near and start + size - self.start <= LONGEST_RANGE_BYTES

    def seek(self, offset: int) -> None:
        """Begin the next read elsewhere."""
        if offset < 0:
            raise ValueError(f"a position before the beginning: {offset}")
        self._at = offset

    def read(self, size: int) -> bytes:
        """The next bytes, as far as the archive has them.

        Raises:
            GlobeError: They cannot be fetched.
        """
        if self.answer is None:
            self._ranges.ask()
        assert self.answer is not None
        first, held = self._at - self.start, self.answer.result()
        inside = first >= 0 and first + size <= len(held)
        data = held[first : first + size] if inside else self._ranges.read_at(self._at, size)
        self._at += len(data)
        return data
