"""What is fetched before its turn: the same bytes, in order, within bounds, and neighbours by one request."""

import random
import threading
from contextlib import closing

import pytest

from globe.data import ahead
from globe.data.ahead import Begun, Fetcher, Ranges, in_turn
from globe.errors import GlobeError

CONTENT = random.Random(0).randbytes(3_000_000)


class Archive:
    """Bytes far away; every request is written down, and how many were under way at once."""

    def __init__(self):
        self.asked, self.at_once, self._under_way, self._lock = [], 0, 0, threading.Lock()

    def read_at(self, start, size):
        with self._lock:
            self.asked.append((start, size))
            self._under_way += 1
            self.at_once = max(self.at_once, self._under_way)
        data = CONTENT[start : start + size]
        with self._lock:
            self._under_way -= 1
        return data


def begin_with(ranges, told=2):
    """Begins a span; the picture is read in two steps, as one of a zip is."""

    def begin(span):
        part, more = ranges.begin(span[0], span[1] // told)

        def read():
            part.seek(span[0])
            return part.read(span[1] // 3) + part.read(span[1] - span[1] // 3)

        return Begun(read, more)

    return begin


@pytest.mark.parametrize("told", [1, 2])  # whether all bytes of a span are told of before, or half of them
@pytest.mark.parametrize("seed", range(20))
def test_spans_anywhere_are_read_in_turn_whatever_is_joined(seed, told, monkeypatch):
    draw = random.Random(seed)
    monkeypatch.setattr(ahead, "MOST_PICTURES", draw.choice([1, 5, 50]))
    monkeypatch.setattr(ahead, "LONGEST_RANGE_BYTES", draw.choice([1, 50_000, 1_000_000]))
    monkeypatch.setattr(ahead, "WIDEST_GAP_BYTES", draw.choice([0, 1000, 100_000]))
    spans = [(draw.randrange(len(CONTENT) + 50_000), draw.randrange(40_000)) for _ in range(80)]
    spans = sorted(spans) if seed % 2 else spans
    archive = Archive()
    with closing(Fetcher()) as fetcher:
        read = [(span, begun.read()) for span, begun in in_turn(spans, begin_with(Ranges(archive.read_at, fetcher), told))]
    assert read == [(span, CONTENT[span[0] : sum(span)]) for span in spans]
    assert archive.at_once <= ahead.RANGES_AT_ONCE


def test_of_what_waits_no_more_is_held_than_may_be(monkeypatch):
    monkeypatch.setattr(ahead, "MOST_PICTURES", 30)
    monkeypatch.setattr(ahead, "MOST_BYTES", 100_000)
    begun, draw = [], random.Random(1)
    sizes = [draw.choice([10, 20_000, 300_000]) for _ in range(200)]

    def begin(number):
        begun.append(number)
        return Begun(lambda: b"", sizes[number])

    for number, _ in in_turn(range(200), begin):
        waiting = begun[number + 1 :]
        assert sum(sizes[one] for one in waiting[:-1]) <= 100_000
        assert len(waiting) <= 30
    assert begun == list(range(200))


def test_where_nothing_is_fetched_before_its_turn_nothing_is_begun_either():
    begun = []
    for item, picture in in_turn("abc", lambda one: begun.append(one) or ("no" if one == "b" else Begun(lambda: b"x"))):
        assert begun[-1] == item
        assert (picture == "no") == (item == "b")
    assert begun == ["a", "b", "c"]


def test_neighbours_are_one_request_up_to_its_longest(monkeypatch):
    monkeypatch.setattr(ahead, "LONGEST_RANGE_BYTES", 10_000)
    archive = Archive()
    with closing(Fetcher()) as fetcher:
        turns = list(in_turn([(1000 * number, 900) for number in range(25)], begin_with(Ranges(archive.read_at, fetcher), 1)))
        for _, begun in turns:
            begun.read()
    assert sorted(archive.asked) == [(0, 9900), (10_000, 9900), (20_000, 4900)]


def test_a_range_that_cannot_be_fetched_is_told_when_its_turn_comes_and_not_before():
    def read_at(start, size):
        if start >= 2_000_000:
            raise GlobeError("gone")
        return CONTENT[start : start + size]

    with closing(Fetcher()) as fetcher:
        turns = in_turn([(0, 10), (1_000_000, 10), (2_000_000, 10)], begin_with(Ranges(read_at, fetcher), 1))
        assert [next(turns)[1].read() for _ in range(2)] == [CONTENT[:10], CONTENT[1_000_000:1_000_010]]
        with pytest.raises(GlobeError, match="gone"):
            next(turns)[1].read()
