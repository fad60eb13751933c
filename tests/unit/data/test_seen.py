"""Sets that lie on disk once they are large."""

import random

import pytest

from globe.data.seen import Repeats, Seen


def test_a_set_says_of_each_member_what_a_set_in_memory_says():
    random.seed(1)
    keys = [random.randrange(3000).to_bytes(8) for _ in range(5000)] + [b"", b"\0", b"\0\0"]
    here: set[bytes] = set()
    seen = Seen()
    for key in keys:
        assert seen.add(key) is (key not in here)
        here.add(key)


def test_sets_know_nothing_of_each_other():
    one, other = Seen(), Seen()
    assert (one.add(b"a"), other.add(b"a"), one.add(b"a")) == (True, True, False)
    one.close()
    assert not other.add(b"a")


ROWS = [("a", 1), ("b", 2), ("a", 3), ("c", 3), ("c", 4), ("d", 2), ("e", 4), ("a", 1), ("f", 5), ("e", 6), ("b", 5), ("g", 7)]
"""Ids and pictures, with every kind of repeat, and repeats of repeats."""


def by_hand(rows):
    earlier = [rows[:number] for number in range(len(rows))]
    return [
        "duplicate_id" if any(one[0] == row[0] for one in before)
        else "duplicate_picture" if any(one[1] == row[1] for one in before)
        else ""
        for row, before in zip(rows, earlier, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("rows_of_a_part", range(1, len(ROWS) + 1))
def test_repeats_are_the_same_however_the_rows_are_cut_into_parts(rows_of_a_part):
    whole = by_hand(ROWS)
    assert {"", "duplicate_id", "duplicate_picture"} == set(whole)
    found: dict[tuple[str, int], str] = {}
    merged = Repeats()
    for first in range(0, len(ROWS), rows_of_a_part):
        part, within = ROWS[first : first + rows_of_a_part], Repeats()
        said = [(row, number, within.reason(row[0], bytes([row[1]]))) for number, row in enumerate(part, start=first)]
        # As a merge does it: a part's rows, and then those that it left out.
        for row, number, _ in sorted(said, key=lambda one: one[2] != ""):
            found[number] = merged.reason(row[0], bytes([row[1]]))
    assert [found[number] for number in range(len(ROWS))] == whole
